/** The kit itself: the sound connector passes every check, and each broken one is caught by the check that is for it. */
import { expect, test } from 'vitest'
import { CHECKS, type ConformanceSpec, lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { acmeSecretFixture } from './acme.ts'
import { BROKEN, connectorOf, type Parts } from './broken.ts'

const spec = (parts: Partial<Parts>): ConformanceSpec => ({
  name: 'acme in code',
  connector: ({ url, secret }) => connectorOf(parts, { url, token: secret }),
  fixture: acmeSecretFixture,
})

test('the connector without a mistake passes all of it', async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(spec({}), { pool: database.pool })
  expect(lines.map(({ check }) => check)).toEqual(CHECKS.map(({ name }) => name))
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
})

test.each(BROKEN)('one that %s is caught by "%s"', async (_, check, parts) => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(spec(parts), { pool: database.pool, only: [check] })
  expect(
    lines.map(({ result }) => result),
    lines.map(lineText).join('\n'),
  ).toEqual(['fail'])
})

test('a database that was not made for the kit is left alone', async () => {
  await using database = await createTestDatabase('somebodys')
  await database.query("insert into rescore.alias (source_table, old_key, new_key) values ('a.b', '1', '2')")
  const lines = await runConformance(spec({}), { pool: database.pool, only: ['everything arrives'] })
  expect(lines).toMatchObject([{ result: 'fail', seen: expect.stringContaining('was not made for it') }])
  expect((await database.query('select from rescore.alias')).rowCount).toBe(1)
})
