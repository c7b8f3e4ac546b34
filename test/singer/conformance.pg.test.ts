/** A tap passes the kit like any connector: killed, refused, cut off, hurried; nothing is lost and nothing is told. */
import { expect, test } from 'vitest'
import { lineText, runConformance } from '../../src/conformance/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { singerSpec } from './conformance.ts'
import { whyNoPython } from './python.ts'

test.skipIf(whyNoPython !== undefined)('a Singer tap passes the kit', { timeout: 600_000 }, async () => {
  await using database = await createTestDatabase('rescore_conformance')
  const lines = await runConformance(singerSpec(), { pool: database.pool })
  expect(lines.filter(({ result }) => result === 'fail').map(lineText)).toEqual([])
  expect(lines.filter(({ result }) => result === 'not applicable').map(lineText)).toEqual([
    'n/a   never over budget, counted by the server: a tap keeps to the limits of its source by itself',
    'n/a   a token that ends in the middle of a run: the credential of this source does not end by itself',
    'n/a   a record erased for privacy is nowhere: this source knows no erasure for privacy',
    'n/a   a state of the version before is read on: every stream is at its first version',
  ])
})
