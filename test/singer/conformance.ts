/** A Singer tap (taps/acme.py, for the invented CRM Acme) as a connector that is held to the kit. */
import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { singer } from '../../connectors/singer/index.ts'
import type { ConformanceSpec } from '../../src/conformance/index.ts'
import { bigint, defineTable, json, number, text, timestamp } from '../../src/define/index.ts'
import { acmeSecretFixture } from '../conformance/acme.ts'
import { ACME_TAP, PYTHON } from './python.ts'

const companies = defineTable({
  name: 'acme.companies',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), employees: number(), updated_at: timestamp(), raw: json() },
})

export function singerSpec(): ConformanceSpec {
  let folder = ''
  return {
    name: 'singer (a tap of ours)',
    connector: ({ url, secret }) =>
      singer({
        name: 'acme',
        command: [PYTHON, '-I', ACME_TAP],
        python: PYTHON,
        config: { url, token: secret, page: 100, timeout: 2 },
        folder,
        streams: [{ stream: 'companies', table: companies }],
      }),
    async fixture(at) {
      folder = mkdtempSync(join(tmpdir(), 'rescore-singer-kit-'))
      const own = folder
      // Acme erases without a trace, and a tap that follows changes never hears of it.
      const { erase: _, ...fixture } = await acmeSecretFixture(at)
      return {
        ...fixture,
        [Symbol.asyncDispose]: async () => {
          await fixture[Symbol.asyncDispose]()
          await rm(own, { recursive: true, force: true })
        },
      }
    },
    settleMs: 3_600_000,
    notApplicable: { 'never over budget, counted by the server': 'a tap keeps to the limits of its source by itself' },
  }
}
