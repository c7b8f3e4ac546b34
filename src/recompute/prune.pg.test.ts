/** Removed features: what they leave, and how it goes. */
import { expect, test } from 'vitest'
import { openHarness } from '../../test/recompute/harness.ts'
import { companies, dealSum, deals, graphOf, open, size } from '../../test/recompute/releases.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { dropLeftover, findLeftovers } from './prune.ts'

const { signal } = new AbortController()

async function columns(db: TestDatabase): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select column_name as name from information_schema.columns
     where table_schema = 'rescore' and table_name = 'features_company' order by 1`,
  )
  return rows.map(({ name }) => name).filter((name) => ['size', 'deal_sum'].includes(name))
}

async function withRemoved(db: TestDatabase) {
  const before = await open(db, size(1, 1), dealSum)
  await db.query(`insert into app.companies values ('a', 1); insert into app.deals values (1, 'a', 5)`)
  await before.sweep()
  await db.query(`insert into rescore.feature_tally values ('company', 'size', 1, 1), ('company', 'deal_sum', 1, 1)`)
  return open(db, size(1, 1))
}

test('the column of a removed feature goes beside the running stage, its history says so, and coming back it is new', async () => {
  await using db = await createTestDatabase('prune')
  const running = await withRemoved(db)
  await running.apply(await running.exec(`insert into app.companies values ('b', 2)`))
  await db.query('analyze rescore.features_company')
  const [leftover, ...more] = await findLeftovers(db.pool)
  expect(more).toEqual([])
  expect(leftover).toMatchObject({ entity: 'company', feature: 'deal_sum', version: 1 })
  expect(leftover?.bytes).toBeGreaterThan(0)
  if (leftover === undefined) return
  // The same connections, with their prepared statements, before and after.
  expect(await dropLeftover(db.pool, leftover, signal)).toBe(true)
  await running.apply(await running.exec(`update app.companies set n = 7`))
  expect(await running.stored()).toEqual({ a: { size: 7 }, b: { size: 7 } })
  expect(await columns(db)).toEqual(['size'])
  expect((await db.query('select feature from rescore.feature_tally')).rows).toEqual([{ feature: 'size' }])
  const { rows } = await db.query(`select changed from rescore.feature_history where changed::jsonb ? 'deal_sum'`)
  expect(rows).toEqual([
    { changed: { size: { to: 1 }, deal_sum: { to: 5 } } },
    { changed: { deal_sum: { from: 5, to: null } } },
  ])
  expect(await findLeftovers(db.pool)).toEqual([])
  const back = await openHarness(db, graphOf(size(1, 1), dealSum), { tables: [companies, deals], isRollback: true })
  await back.sweep()
  expect(await back.stored()).toMatchObject({ a: { size: 7, deal_sum: 5 } })
})

test('what is deployed again meanwhile is not dropped', async () => {
  await using db = await createTestDatabase('prune')
  await withRemoved(db)
  const [leftover] = await findLeftovers(db.pool)
  if (leftover === undefined) throw new Error('Nothing is left over.')
  await open(db, size(2, 1), dealSum)
  expect(await dropLeftover(db.pool, leftover, signal)).toBe(false)
  expect(await columns(db)).toEqual(['deal_sum', 'size'])
})

test('it waits for who works by the definitions, and lets others through while it waits', async () => {
  await using db = await createTestDatabase('prune')
  const running = await withRemoved(db)
  const [leftover] = await findLeftovers(db.pool)
  if (leftover === undefined) throw new Error('Nothing is left over.')
  const reader = await db.pool.connect()
  await reader.query('begin; select count(*) from rescore.features_company')
  const dropped = dropLeftover(db.pool, leftover, signal)
  const blocked = `select from pg_locks where not granted and relation = 'rescore.features_company'::regclass`
  await eventually(async () => expect((await db.query(blocked)).rows).toHaveLength(1))
  // Its attempt ends by itself: what queued behind it goes on although the reader still reads.
  await running.apply(await running.exec(`update app.companies set n = 7`))
  expect(await running.stored()).toEqual({ a: { size: 7 } })
  await reader.query('commit')
  reader.release()
  expect(await dropped).toBe(true)
})

test('the table of an entity without any feature goes whole', async () => {
  await using db = await createTestDatabase('prune')
  await withRemoved(db)
  await open(db)
  const [leftover, ...more] = await findLeftovers(db.pool)
  expect(more).toEqual([])
  expect(leftover).toMatchObject({ entity: 'company', feature: null })
  if (leftover === undefined) return
  expect(await dropLeftover(db.pool, leftover, signal)).toBe(true)
  expect((await db.query(`select to_regclass('rescore.features_company') as found`)).rows).toEqual([{ found: null }])
  expect((await db.query('select from rescore.removed_feature')).rows).toEqual([])
})
