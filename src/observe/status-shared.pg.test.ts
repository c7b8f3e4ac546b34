import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { renderStatus } from '../cli/status.ts'
import { type AssignedPartition, StageStatusWriter } from './stage-status.ts'
import { readStatus } from './status.ts'

const TOPIC = 'rescore.app.company'

/** Stage `recompute` over three partitions, the last of them never read. */
async function createShared(database: TestDatabase): Promise<void> {
  await database.query(`insert into rescore.shared_stage (stage, sweeps_done) values ('recompute', 1)`)
  await database.query(
    `insert into rescore.stage_position (stage, topic, partition, lsn, index, reflected_lsn, owner, lag_seconds) values
     ('recompute', '', 0, '0/1', 0, '0/1', null, null), ('recompute', $1, 0, '0/1', 0, '0/1', 'a', 0.25),
     ('recompute', $1, 1, '0/1', 0, '0/1', 'a', 0.5), ('recompute', $1, 2, '0/0', 0, '0/0', null, null)`,
    [TOPIC],
  )
}

const idle = (partition: number): AssignedPartition => ({ topic: TOPIC, partition, records: 0, since: null })

/** A worker's last word, `ago` before now. */
async function said(database: TestDatabase, worker: string, ago: string, assigned: readonly AssignedPartition[]) {
  await database.query(
    `insert into rescore.stage_status (stage, worker, assigned, lag_trend, updated_at)
     values ('recompute', $1, $2, 'steady', now() - $3::interval)`,
    [worker, JSON.stringify(assigned), ago],
  )
}

async function owners(database: TestDatabase) {
  const { partitions } = await readStatus(database.pool)
  return partitions.map(({ owner }) => owner)
}

test('a partition is owned by the worker its group gave it to, and by nobody once that has gone', async () => {
  await using database = await createTestDatabase('status_shared')
  await createShared(database)
  expect(await owners(database)).toEqual([null, null, null])
  await said(database, 'a', '36 seconds', [idle(0), idle(1)])
  await said(database, 'b', '20 seconds', [idle(0), idle(2)])
  // Shared out anew a moment ago: the older word is out of date.
  await said(database, 'c', '1 second', [idle(0)])
  const { partitions, workers, stages } = await readStatus(database.pool)
  expect(partitions.map(({ owner, lastOwner, lagSeconds }) => [owner, lastOwner, lagSeconds])).toEqual([
    ['c', 'a', 0.25],
    [null, 'a', null],
    ['b', null, null],
  ])
  expect(workers.map(({ worker, partitions: count }) => [worker, count])).toEqual([
    ['b', 2],
    ['c', 1],
  ])
  expect(stages[0]).toMatchObject({ unowned: 1, backlog: 0 })
})

test('lag grows with the age of what waits, whatever the worker does meanwhile', async () => {
  await using database = await createTestDatabase('status_shared')
  await createShared(database)
  const since = new Date(Date.now() - 90_000).toISOString()
  await said(database, 'a', '1 second', [idle(0), { topic: TOPIC, partition: 1, records: 7, since }])
  const { partitions } = await readStatus(database.pool)
  expect(partitions.map(({ backlog }) => backlog)).toEqual([0, 7, null])
  expect(partitions[0]?.lagSeconds).toBe(0.25)
  expect(partitions[1]?.lagSeconds).toBeGreaterThan(89)
})

test('a worker that ends well takes its rows with it, and one that starts removes those of long ago', async () => {
  await using database = await createTestDatabase('status_shared')
  await createShared(database)
  await said(database, 'crashed', '2 days', [idle(0)])
  const failures: Error[] = []
  const stop = new AbortController()
  const writer = new StageStatusWriter({
    pool: database.pool,
    worker: 'a',
    log: { backlog: () => 0, pendingSinceMs: () => null },
    assigned: () => [idle(0), idle(1)],
    stages: [{ name: 'recompute', counters: () => ({ handled: 0, computed: 0, written: 0 }) }],
    onError: (error) => failures.push(error),
    everyMs: 20,
  })
  const running = writer.run(stop.signal)
  const rows = async () => (await database.query('select worker from rescore.stage_status')).rows
  await eventually(async () => expect(await rows()).toEqual([{ worker: 'a' }]))
  expect(await owners(database)).toEqual(['a', 'a', null])
  stop.abort()
  await running
  expect(await rows()).toEqual([])
  expect(await owners(database)).toEqual([null, null, null])
  expect(failures).toEqual([])
})

test('the screen names who has what, and what nobody has', async () => {
  await using database = await createTestDatabase('status_shared')
  await createShared(database)
  await said(database, 'host-1 77', '1 second', [idle(0)])
  const lines = renderStatus(await readStatus(database.pool)).split('\n')
  const cells = (start: string) => lines.find((line) => line.startsWith(start))?.split(/ {2,}/)
  expect(cells('recompute  -')).toContain('2 partitions without a worker')
  expect(cells('host-1 77')?.slice(0, 3)).toEqual(['host-1 77', 'recompute', '1'])
  const partitions = lines.filter((line) => line.includes(TOPIC))
  expect(partitions.map((line) => line.split(/ {2,}/).slice(2, 7))).toEqual([
    ['0', '0.25 s', 'steady', '0', 'host-1 77'],
    ['1', '-', '-', '-', 'nobody (was a)'],
    ['2', '-', '-', '-', 'nobody yet'],
  ])
})
