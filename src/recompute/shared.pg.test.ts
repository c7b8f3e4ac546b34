/** Workers that have the same entity in hand at once: what they leave is true, whichever commits first. */
import { expect, test } from 'vitest'
import { graph as crmGraph, tables as crmTables } from '../../test/recompute/crm.ts'
import { batchOf, openHarness } from '../../test/recompute/harness.ts'
import { expectedFeatures, readTables } from '../../test/recompute/oracle.ts'
import { dealSum, open, size } from '../../test/recompute/small.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { isWorthRepeating } from '../db/pool.ts'
import { defineConfig } from '../define/index.ts'
import { plant } from '../faults.ts'
import { compileGraph } from '../graph/compile.ts'
import type { Change } from '../log/log.ts'
import { inVisibleSnapshot } from '../log/visibility.ts'
import { makeStale, readEpochs } from './epochs.ts'
import { createRecomputeStage, type RecomputeStage } from './stage.ts'

const signal = new AbortController().signal

function apply(db: TestDatabase, stage: RecomputeStage, changes: readonly Change[], beforeCommit = async () => {}) {
  const work = stage.plan({ ...batchOf(changes), source: { topic: 'any', partition: 0 } })
  if (work === null) return Promise.resolve()
  return inVisibleSnapshot({ pool: db.pool, signal, isShared: true }, [], async (context) => {
    await stage.apply(work, context)
    await beforeCommit()
  }).then(() => stage.committed?.(work))
}

/** `first` is applied but not committed while `second` happens and is applied. */
async function overtaken(
  db: TestDatabase,
  stage: RecomputeStage,
  first: readonly Change[],
  happen: () => Promise<readonly Change[]>,
) {
  const [applied, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const older = apply(db, stage, first, async () => {
    applied.resolve()
    await gate.promise
  })
  await applied.promise
  let isDone = false
  const newer = apply(db, stage, await happen()).then(() => {
    isDone = true
  })
  await eventually(async () => {
    const { rows } = await db.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    expect(isDone || rows.length > 0).toBe(true)
  })
  gate.resolve()
  await Promise.all([older, newer])
}

async function aWayAndBack(db: TestDatabase) {
  const harness = await open(db, [dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  await harness.apply(await harness.exec('insert into app.deals values (1, 1, 10), (2, 1, 0)'))
  const up = await harness.exec('update app.deals set n = 12 where id = 1')
  await overtaken(db, harness.stage, up, () => harness.exec('update app.deals set n = -2 where id = 2'))
  return harness.stored()
}

async function aRowGoneMeanwhile(db: TestDatabase) {
  const harness = await open(db, [dealSum])
  const born = await harness.exec('insert into app.companies values (1, 5)')
  await overtaken(db, harness.stage, born, () => harness.exec('delete from app.companies'))
  return harness.stored()
}

test('a newer worker that finds its value stored is not overwritten by an older one that has yet to commit', async () => {
  await using db = await createTestDatabase('shared')
  expect(await aWayAndBack(db)).toEqual({ 1: { deal_sum: 10 } })
})

test('a row is not put in by an older worker after a newer one has found it gone', async () => {
  await using db = await createTestDatabase('shared')
  expect(await aRowGoneMeanwhile(db)).toEqual({})
})

test('keys that are not held are noticed: an older value stays, and a row that is gone comes back', async () => {
  using _bug = plant('keys-not-held')
  await using first = await createTestDatabase('shared')
  expect(await aWayAndBack(first)).toEqual({ 1: { deal_sum: 12 } })
  await using second = await createTestDatabase('shared')
  expect(await aRowGoneMeanwhile(second)).toEqual({ 1: { deal_sum: 0 } })
})

/** One transaction with four rows of one entity, each handled by a worker of its own, one after the other or at once. */
async function spread(db: TestDatabase, isAtOnce: boolean) {
  const harness = await open(db, [dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  const changes = await harness.exec('insert into app.deals values (1, 1, 10), (2, 1, 20), (3, 1, 30), (4, 1, 40)')
  const { computed, needed } = harness.stage.counters
  const works = changes.map((change) => () => apply(db, harness.stage, [change]))
  if (isAtOnce) await Promise.all(works.map((work) => work()))
  else for (const work of works) await work()
  expect(await harness.stored()).toEqual({ 1: { deal_sum: 100 } })
  await apply(db, harness.stage, await harness.exec('update app.deals set n = 11 where id = 1'))
  expect(await harness.stored()).toEqual({ 1: { deal_sum: 101 } })
  return { computed: harness.stage.counters.computed - computed, needed: harness.stage.counters.needed - needed }
}

test('the rows of one transaction, spread over workers, are computed once, and the next change again', async () => {
  await using first = await createTestDatabase('shared')
  expect(await spread(first, false)).toEqual({ computed: 2, needed: 2 })
  await using second = await createTestDatabase('shared')
  expect(await spread(second, true)).toEqual({ computed: 2, needed: 2 })
})

test('what is computed once more for the same transaction is counted as not needed', async () => {
  using _bug = plant('computed-again')
  await using db = await createTestDatabase('shared')
  expect(await spread(db, false)).toEqual({ computed: 5, needed: 2 })
})

/** Repeatable: the same statements in every run. */
function* statements(count: number): Generator<string> {
  let state = 12_345
  const below = (limit: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % limit
  }
  for (let index = 0; index < count; index += 1) {
    const [id, company, other, n] = [below(8) + 1, below(3) + 1, below(3) + 1, below(20)]
    yield [
      `insert into app.deals (id, company_id, n, word) values (${id}, ${company}, ${n}, 'w${n}')
         on conflict (id) do update set company_id = excluded.company_id, n = excluded.n`,
      `delete from app.deals where id = ${id}`,
      `insert into app.lines (deal_id, item, n) values (${id}, 'a', ${n}) on conflict (deal_id, item) do update set n = excluded.n`,
      `delete from app.companies where id = ${company}`,
      `insert into app.companies (id, n) values (${company}, ${n}) on conflict (id) do update set n = excluded.n`,
      `insert into app.companies (id, n) values (${other}, ${n}) on conflict (id) do nothing`,
      `update app.deals set n = n + 1 where company_id = ${other}`,
      `insert into app.notes (id, contact_id, n) values (${id}, 'x', ${n}) on conflict (id) do update set n = excluded.n`,
      `insert into app.company_contacts values (${company}, 'x', 'boss') on conflict do nothing`,
      `delete from app.company_contacts where company_id = ${company}`,
    ][below(10)] ?? ''
  }
}

test('four workers with the rows of the same few entities leave what a recompute from scratch gives, and waste nothing', async () => {
  await using db = await createTestDatabase('shared')
  const harness = await openHarness(db, crmGraph, { tables: crmTables })
  await harness.apply(await harness.exec(`insert into app.contacts (id, word, n) values ('x', 'a', 1)`))
  const workers = Array.from({ length: 4 }, () => ({
    stage: createRecomputeStage({ graph: crmGraph, report: () => undefined, strict: true }),
    queue: [] as Change[],
  }))
  let isWriting = true
  const work = async ({ stage, queue }: (typeof workers)[number]) => {
    while (isWriting || queue.length > 0) {
      const batch = queue.slice(0, 3)
      if (batch.length === 0) await new Promise((resolve) => setImmediate(resolve))
      else {
        try {
          await apply(db, stage, batch)
          queue.splice(0, batch.length)
        } catch (error) {
          // As the runner does: the batch is repeated.
          if (!isWorthRepeating(error)) throw error
        }
      }
    }
  }
  const running = workers.map(work)
  for (const sql of statements(400)) {
    for (const change of await harness.exec(sql)) {
      const row = change.after ?? change.before
      // By row, as Kafka's partitions are.
      const key = `${change.table} ${row?.id ?? row?.deal_id ?? row?.company_id}`
      workers[[...key].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % workers.length]?.queue.push(change)
    }
  }
  isWriting = false
  await Promise.all(running)
  const node = crmGraph.entities.get('company')
  if (node === undefined) throw new Error('no entity')
  expect(await harness.stored()).toEqual(expectedFeatures(node, await readTables(db.pool, crmTables)))
  const total = { computed: 0, needed: 0 }
  for (const { stage } of workers) {
    total.computed += stage.counters.computed
    total.needed += stage.counters.needed
  }
  expect(total.needed).toBeGreaterThan(0)
  expect(total.computed / total.needed).toBeLessThanOrEqual(1.05)
})

test('of two that make rows stale at once the second waits, so that no row is fresh that was written between the two', async () => {
  await using db = await createTestDatabase('epochs')
  const { stage } = await open(db, [size(), dealSum])
  await stage.deploy(db.pool)
  const graph = compileGraph(defineConfig({ features: [size(), dealSum] }))
  const node = graph.entities.get('company')
  if (node === undefined) throw new TypeError('company')
  const [first, second] = [await db.pool.connect(), await db.pool.connect()]
  try {
    for (const client of [first, second]) await client.query('begin')
    await makeStale(first, node, 1n)
    const later = makeStale(second, node, 2n)
    await eventually(async () => {
      const { rows } = await db.query(
        `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      expect(rows).toHaveLength(1)
    })
    await first.query('commit')
    const writtenWith = (await readEpochs(db.pool, graph)).get('company')?.current ?? 0
    await later
    await second.query('commit')
    const changedIn = (await readEpochs(db.pool, graph)).get('company')?.changedIn ?? []
    expect(changedIn[0]).toBe(writtenWith)
    expect(changedIn[1]).toBeGreaterThan(writtenWith)
  } finally {
    first.release()
    second.release()
  }
})
