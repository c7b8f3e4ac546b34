/** The declared example connector passes every check of the kit, by every kind of paging. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type ConformanceSpec, lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { acmeFixture } from './acme.ts'
import { acme, PAGING } from './acme-connector.ts'

const spec = (by: keyof typeof PAGING): ConformanceSpec => ({
  name: `acme by ${by}`,
  connector: ({ url, secret }) => acme({ url, token: secret, paging: PAGING[by] }),
  fixture: acmeFixture,
})

test('the example is a whole connector in fewer than 40 lines', () => {
  const text = readFileSync(join(import.meta.dirname, 'acme-connector.ts'), 'utf8')
  const connector = text.slice(text.indexOf('export const acme ='))
  expect(connector.split('\n').length).toBeLessThan(40)
})

test('the example passes the kit', async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(spec('cursor'), { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'not applicable').map(lineText)).toEqual([
    'n/a   a state of the version before is read on: every stream is at its first version',
  ])
})

/** Those that a way of paging can break. */
const PAGED = [
  'everything arrives',
  'a second run',
  'killed at',
  'to: 500',
  'while pages are read',
  'larger than a page',
]

test.each(['page', 'offset', 'link', 'keyset'] as const)('by %s nothing is lost either', async (by) => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(spec(by), { pool: database.pool, only: PAGED })
  expect(
    lines.map(({ result }) => result),
    lines.map(lineText).join('\n'),
  ).toEqual(PAGED.map(() => 'pass'))
})
