/** `rescore connector test` as a user runs it: a spec in a file, a line for each check, an exit code. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, expect, inject, test, vi } from 'vitest'
import { run } from './main.ts'

const acme = resolve(import.meta.dirname, '../../test/conformance')

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  process.exitCode = undefined
})

async function runTest(spec: string, ...args: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-connector-'))
  const file = join(folder, 'acme.conformance.ts')
  await writeFile(file, spec)
  vi.stubEnv('DATABASE_URL', inject('pgUrl'))
  let output = ''
  const collect = (text: string | Uint8Array) => {
    output += String(text)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(collect)
  vi.spyOn(process.stderr, 'write').mockImplementation(collect)
  try {
    const code = await run(['connector', 'test', file, ...args], new AbortController().signal)
    return { code: code ?? process.exitCode, output }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const spec = (connector: string) => `
  import { acmeFixture } from '${acme}/acme.ts'
  import { acme } from '${acme}/acme-connector.ts'
  export default { name: 'acme', fixture: acmeFixture, connector: ({ url, secret }) => (${connector}) }
`

test('prints a line for each check, and 3 is its exit code when one fails', async () => {
  const sound = await runTest(spec('acme({ url, token: secret })'), '--only', 'everything', 'second run')
  expect(sound).toEqual({
    code: undefined,
    output:
      'pass  everything arrives: 250 rows\npass  a second run, and one from nothing, write nothing: 0 rows written\n',
  })
  process.exitCode = undefined
  const broken = await runTest(spec("acme({ url, token: 'wrong-secret' })"), '--only', 'everything', '--json')
  expect(broken.code).toBe(3)
  expect(JSON.parse(broken.output)).toMatchObject([{ check: 'everything arrives', result: 'fail' }])
})

test('a file without a spec is told so', async () => {
  const { code, output } = await runTest('export const nothing = 1')
  expect(code).toBe(1)
  expect(output).toContain('CLI_NO_CONFORMANCE')
})
