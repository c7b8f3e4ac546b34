/** Every kind of rule while random load runs, and over a restart of the service: what is left is what was declared. */
import { expect, test } from 'vitest'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { expectingConfig } from './setting.ts'

test('after random load, over restarts, everything held back is held back for a reason, and the counts of nulls are exact', async () => {
  await using database = await createTestDatabase('expect')
  await createProject(database.pool)
  await using checker = await createChecker(expectingConfig)
  for (let round = 1; round <= 2; round += 1) {
    await using _running = await startIn(database, expectingConfig)
    const load = startLoad(database, round)
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    await load.stop()
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
  }
  const { rows } = await database.query('select from rescore.violation')
  expect(rows.length).toBeGreaterThan(0)
  const counted = await database.query(
    `select feature, sum(rows)::integer as rows, sum(nulls)::integer as nulls from rescore.null_count group by 1 order by 1`,
  )
  const real = await database.query(
    `select 'about_length' as feature, count(*)::integer as rows, count(*) filter (where about_length is null)::integer as nulls
       from rescore.features_company
     union all select 'last_kind', count(*)::integer, count(*) filter (where last_kind is null)::integer from rescore.features_contact
     union all select 'mean_score', count(*)::integer, count(*) filter (where mean_score is null)::integer from rescore.features_company
     order by 1`,
  )
  expect(counted.rows).toEqual(real.rows)
}, 180_000)
