/** The copy of another database's tables passes every check of the kit that is not about HTTP. */
import { expect, test } from 'vitest'
import { lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { postgresSpec } from './postgres.ts'

test('a copied PostgreSQL passes the kit', async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(postgresSpec, { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'pass').length).toBeGreaterThan(16)
})
