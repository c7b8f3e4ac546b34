/** Definitions, epochs and sweeps. */
import { expect, test } from 'vitest'
import { change } from '../../test/recompute/harness.ts'
import { dealSum, epochs, graphOf, open, readerOf, size } from '../../test/recompute/releases.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { createRecomputeStage } from './stage.ts'

test('the sweep loads what no change told of, piece by piece, and removes what is left over', async () => {
  await using db = await createTestDatabase('deploy')
  const harness = await open(db, size(1, 2))
  await db.query(`insert into app.companies select 'c' || i, i from generate_series(1, 2500) i`)
  expect(await harness.sweep()).toBeGreaterThan(3)
  const { rows } = await db.query(
    'select count(*)::integer as n, sum(size)::integer as sum from rescore.features_company',
  )
  expect(rows).toEqual([{ n: 2500, sum: 2500 * 2501 }])
  expect(harness.stage.counters).toMatchObject({ handled: 2500, computed: 2500, needed: 2500, written: 2500 })
  await db.query(`delete from app.companies where id <> 'c7'`)
  await harness.sweep()
  expect(await harness.stored()).toEqual({ c7: { size: 14 } })
})

test('deploying the same code again, or twice at once, changes nothing', async () => {
  await using db = await createTestDatabase('deploy')
  const features = [size(1, 1), readerOf(size(1, 1))]
  const stages = [1, 2].map(() =>
    createRecomputeStage({ graph: graphOf(features[0] ?? dealSum), report: () => {}, strict: true }),
  )
  await open(db, dealSum)
  await Promise.all(stages.map((stage) => stage.deploy(db.pool)))
  const { rows } = await db.query(
    'select feature, xmin::text, changed_in_epoch from rescore.definition order by feature',
  )
  await Promise.all(stages.map((stage) => stage.deploy(db.pool)))
  expect(
    (await db.query('select feature, xmin::text, changed_in_epoch from rescore.definition order by feature')).rows,
  ).toEqual(rows)
  expect(rows).toMatchObject([{ feature: 'size', changed_in_epoch: 2 }])
})

test('a new version makes it and its readers stale, and no other; rows are caught up by the sweep or by any touch', async () => {
  await using db = await createTestDatabase('deploy')
  const first = size(1, 1)
  const before = await open(db, first, readerOf(first), dealSum)
  await db.query(`insert into app.companies values ('a', 1), ('b', 2)`)
  await before.sweep()
  expect(await epochs(db)).toEqual({ size: 1, reader: 1, deal_sum: 1 })

  const second = size(2, 10)
  const after = await open(db, second, readerOf(second), dealSum)
  expect(await epochs(db)).toEqual({ size: 2, reader: 2, deal_sum: 1 })
  await after.apply(await after.exec(`insert into app.deals values (1, 'a', 5)`))
  expect(await after.stored()).toEqual({
    a: { size: 10, reader: '<10>', deal_sum: 5 },
    b: { size: 2, reader: '<2>', deal_sum: 0 },
  })
  const { computed } = after.stage.counters
  await after.sweep()
  expect(await after.stored()).toMatchObject({ b: { size: 20, reader: '<20>', deal_sum: 0 } })
  expect(after.stage.counters.computed - computed).toBe(2)
})

test('a type changes with the version only; then the column is made anew, and old code stops', async () => {
  await using db = await createTestDatabase('deploy')
  const harness = await open(db, size(1, 1))
  await db.query(`insert into app.companies values ('a', 1)`)
  await harness.sweep()
  await expect(open(db, size(1, 1, 'text'))).rejects.toMatchObject({ code: 'FEATURE_TYPE_CHANGED' })
  await expect(open(db, size(2, 1, 'text'))).resolves.toBeDefined()
  const changes = await harness.exec(`update app.companies set n = 5`)
  await expect(harness.apply(changes)).rejects.toMatchObject({ code: 'FEATURE_NOT_DEPLOYED', fate: 'stop' })
  const retyped = await open(db, size(2, 1, 'text'))
  await retyped.sweep()
  expect(await retyped.stored()).toEqual({ a: { size: '5' } })
  // What went with the column is told, or the history would go on from a value that is stored nowhere.
  const { rows } = await db.query<{ changed: object }>('select changed from rescore.feature_history order by id')
  expect(rows.map((row) => row.changed)).toEqual([
    { size: { to: 1 } },
    { size: { from: 1, to: null } },
    { size: { from: null, to: '5' } },
  ])
})

test('other code under the same version is told at each start until somebody answers, and acted on never', async () => {
  await using db = await createTestDatabase('deploy')
  await open(db, size(1, 1))
  const edited = { ...size(1, 1), compute: () => 42 }
  const told = [{ type: 'failed', code: 'FEATURE_CODE_CHANGED' }]
  expect((await open(db, edited)).events).toMatchObject(told)
  expect((await open(db, edited)).events).toMatchObject(told)
  expect(await epochs(db)).toEqual({ size: 1 })
  // The code it was deployed with is no edit of itself.
  expect((await open(db, size(1, 1))).events).toEqual([])
  expect((await open(db, { ...edited, version: 2 })).events).toEqual([])
  expect(await epochs(db)).toEqual({ size: 2 })
})

test('a removed feature loses its definition and keeps its column; coming back it is new, and never of another type', async () => {
  await using db = await createTestDatabase('deploy')
  const first = size(1, 1)
  await open(db, first, readerOf(first))
  const harness = await open(db, size(1, 1), dealSum)
  await db.query(`insert into app.companies values ('a', 1); insert into app.deals values (1, 'a', 5)`)
  await harness.sweep()
  // The newest epoch is gone with it: a row written in it is not up to date in what comes next.
  await (await open(db, size(1, 1))).sweep()
  expect(await epochs(db)).toEqual({ size: 1 })
  await db.query('update app.deals set n = 6')
  const kept = await db.query('select deal_sum::integer from rescore.features_company')
  expect(kept.rows).toEqual([{ deal_sum: 5 }])
  const retyped = { ...dealSum, type: 'text' as const, compute: () => 'x' }
  await expect(open(db, size(2, 1), retyped)).rejects.toMatchObject({
    code: 'FEATURE_TYPE_CHANGED',
    mend: expect.stringMatching(/version of 'deal_sum' to 2.*rescore prune/),
  })
  const back = await open(db, size(2, 1), dealSum)
  // Greater than any given before: those of the deployment that was refused included.
  expect(await epochs(db)).toEqual({ size: 4, deal_sum: 4 })
  await back.sweep()
  expect(await back.stored()).toEqual({ a: { size: 1, deal_sum: 6 } })
})

test('a truncated table makes what reads it stale, also for the changes that follow in the same batch', async () => {
  await using db = await createTestDatabase('deploy')
  const harness = await open(db, size(1, 1), dealSum)
  await db.query(
    `insert into app.companies values ('a', 1), ('b', 2); insert into app.deals values (1, 'a', 5), (2, 'b', 6)`,
  )
  await harness.sweep()
  await db.query('truncate app.deals')
  const refill = await harness.exec(`insert into app.deals values (3, 'a', 7)`)
  await harness.apply([change('app.deals', 'truncate', null, null), ...refill])
  expect(harness.stage.sweepNeeded?.()).toBe(true)
  expect(await harness.stored()).toMatchObject({ a: { deal_sum: 7 }, b: { deal_sum: 6 } })
  await harness.sweep()
  expect(await harness.stored()).toEqual({ a: { size: 1, deal_sum: 7 }, b: { size: 2, deal_sum: 0 } })
  await db.query('truncate app.companies')
  await harness.apply([change('app.companies', 'truncate', null, null)])
  await harness.sweep()
  expect(await harness.stored()).toEqual({})
  await harness.apply(await harness.exec(`insert into app.companies values ('a', 1)`))
  expect(harness.stage.sweepNeeded?.()).toBe(false)
})

test('a piece that was rolled back is swept again', async () => {
  await using db = await createTestDatabase('deploy')
  const harness = await open(db, size(1, 1))
  await db.query(`insert into app.companies values ('a', 1)`)
  const client = await db.pool.connect()
  await client.query('begin isolation level repeatable read')
  await harness.stage.sweep({ client, snapshotLsn: 1n, nowMs: 0, signal: new AbortController().signal })
  await client.query('rollback')
  client.release()
  await harness.sweep()
  expect(await harness.stored()).toEqual({ a: { size: 1 } })
})
