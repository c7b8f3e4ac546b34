/** Cutting a backfill into chunks: nothing left out, and never more looked at than changes can wait for. */
import { expect, test } from 'vitest'
import { cutAhead } from '../../src/backfill/cut.ts'
import { readBackfill } from '../../src/backfill/job.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { ask, companies } from './setting.ts'

test('few entities among many are found in several short looks, in the order of the key and not of its text', async () => {
  await using database = await createTestDatabase('cut')
  await createProject(database.pool)
  await database.query('insert into app.company (id) select 1000 + i from generate_series(1, 12000) i')
  // Without the features of a deployment there is no table of values, and `all` asks for none.
  const { id } = await ask(database, { condition: 'id in (3, 9999, 12345)' })
  let cuts = 1
  for (; !(await cutAhead(database.pool, companies(), await readBackfill(database.pool, id))); cuts += 1) {
    expect(cuts).toBeLessThan(100)
  }
  expect(cuts).toBeGreaterThan(3)
  const { rows } = await database.query<{ keys: readonly string[] }>(
    'select keys from rescore.backfill_chunk where backfill = $1 order by seq',
    [id],
  )
  expect(rows.flatMap(({ keys }) => keys)).toEqual(['3', '9999', '12345'])
  expect(await readBackfill(database.pool, id)).toMatchObject({ isCut: true, afterKey: '13000' })
})
