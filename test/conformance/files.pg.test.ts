/** The files connector passes every check of the kit that does not need a network. */
import { expect, test } from 'vitest'
import { lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { filesSpec } from './files.ts'

test('files pass the kit', async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(filesSpec, { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'pass').length).toBeGreaterThan(12)
})
