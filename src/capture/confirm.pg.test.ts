import { expect, test } from 'vitest'
import { captureTables, endOf, type RunningCapture, STAGE, startCapture } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { parseLsn } from '../db/lsn.ts'
import { plant } from '../faults.ts'
import type { Batch } from '../log/log.ts'

interface SlotState {
  readonly pid: number | null
  readonly confirmed: bigint
  readonly replyAt: string | null
}

async function slotOf(db: TestDatabase): Promise<SlotState> {
  const { rows } = await db.query<{ pid: number | null; confirmed: string; reply: string | null }>(
    `select active_pid as pid, confirmed_flush_lsn::text as confirmed, reply_time::text as reply
     from pg_replication_slots left join pg_stat_replication r on r.pid = active_pid where slot_name = $1`,
    [db.name],
  )
  const row = rows[0]
  if (row === undefined) throw new Error('The slot is gone.')
  return { pid: row.pid, confirmed: parseLsn(row.confirmed), replyAt: row.reply }
}

/** A batch handed out and not acknowledged. */
async function peek({ log }: RunningCapture, maxEntries = 1_000): Promise<Batch> {
  const batch = await log.next(STAGE, { maxEntries, waitMs: 20_000, signal: AbortSignal.timeout(20_000) })
  if (batch === null) throw new Error('Nothing came.')
  return batch
}

/** Waits until the server has taken this many more status frames. */
async function statusFrames(db: TestDatabase, count: number): Promise<void> {
  let last = (await slotOf(db)).replyAt
  for (let seen = 0; seen < count; seen += 1) {
    last = await eventually(async () => {
      const { replyAt } = await slotOf(db)
      if (replyAt === null || replyAt === last) throw new Error('No status frame yet.')
      return replyAt
    })
  }
}

/** Two transactions whose commit records follow each other without a byte between. */
async function commitBothTogether(db: TestDatabase, ids: readonly [number, number]): Promise<void> {
  const [one, two] = [await db.pool.connect(), await db.pool.connect()]
  try {
    await one.query('begin')
    await two.query('begin')
    await one.query('insert into public.t values ($1)', [ids[0]])
    await two.query('insert into public.t values ($1)', [ids[1]])
    await one.query('commit')
    await two.query('commit')
  } finally {
    one.release()
    two.release()
  }
}

/** The first entry not acknowledged; a batch that only ends a transaction is acknowledged on the way. */
async function firstEntry(running: RunningCapture) {
  for (;;) {
    const batch = await peek(running, 1)
    const [entry] = batch.entries
    if (entry !== undefined) return entry
    running.log.acknowledge(STAGE, batch.end)
  }
}

/** Confirms only the first of two such commits; returns the LSN that was confirmed and the id of the second row. */
async function confirmFirstOfTwo(db: TestDatabase, running: RunningCapture): Promise<{ id: number; lsn: bigint }> {
  // Another writer on the server can put a record between the two: then they are not adjacent, and the pair is repeated.
  for (let round = 1; ; round += 1) {
    const id = 2 * round + 1
    await commitBothTogether(db, [id - 1, id])
    await eventually(() => expect(running.log.backlog(STAGE)).toBe(2))
    const first = await firstEntry(running)
    running.log.acknowledge(STAGE, endOf(first))
    const second = await firstEntry(running)
    const lsn = running.log.confirmableLsn() ?? 0n
    if (second.position.lsn === lsn) return { id, lsn }
    if (round === 200) throw new Error('No two commits were adjacent.')
    running.log.acknowledge(STAGE, endOf(second))
  }
}

test('confirming a commit does not skip the one that follows it without a byte between', async () => {
  await using db = await createTestDatabase('adjacent')
  await db.query('create table public.t (id integer primary key)')
  await using first = await captureTables(db, ['public.t'])
  const { id, lsn } = await confirmFirstOfTwo(db, first)
  await eventually(async () => expect((await slotOf(db)).confirmed).toBe(lsn))
  await first.stop()
  await using second = startCapture(db, first.setup)
  expect((await second.changes(1))[0]?.after).toEqual({ id: String(id) })
})

test('no number of status frames moves the slot past what was not acknowledged, and a new start gets it again', async () => {
  await using db = await createTestDatabase('timer')
  await db.query('create table public.t (id integer primary key)')
  await using first = await captureTables(db, ['public.t'])
  const before = await slotOf(db)
  await db.query('insert into public.t select generate_series(1, 10)')
  await peek(first)
  await statusFrames(db, 5)
  expect((await slotOf(db)).confirmed).toBe(before.confirmed)
  await first.stop()
  await using second = startCapture(db, first.setup)
  expect((await second.changes(10)).map(({ after }) => after?.id)).toEqual(
    Array.from({ length: 10 }, (_, index) => String(index + 1)),
  )
  await eventually(async () => expect((await slotOf(db)).confirmed).toBeGreaterThan(before.confirmed))
})

test('a lost connection is made again, and what the log holds already comes once', async () => {
  await using db = await createTestDatabase('reconnect')
  await db.query('create table public.t (id integer primary key)')
  const errors: unknown[] = []
  await using capture = await captureTables(db, ['public.t'], { onError: (error) => errors.push(error) })
  await db.query('insert into public.t select generate_series(1, 2500)')
  await eventually(() => expect(capture.log.backlog(STAGE)).toBe(2_500))
  const { pid } = await slotOf(db)
  await db.query('select pg_terminate_backend($1)', [pid])
  await eventually(async () => {
    const now = await slotOf(db)
    expect(now.pid).not.toBeNull()
    expect(now.pid).not.toBe(pid)
  })
  await db.query('insert into public.t values (2501)')
  expect((await capture.changes(2_501)).map(({ after }) => after?.id)).toEqual(
    Array.from({ length: 2_501 }, (_, index) => String(index + 1)),
  )
  expect(capture.log.backlog(STAGE)).toBe(0)
  expect(errors.length).toBeGreaterThan(0)
})

test('a connection cut in the middle of a large transaction goes on where the log stands', async () => {
  await using db = await createTestDatabase('middle')
  await db.query('create table public.t (id integer primary key, name text)')
  // The log takes a few thousand of the rows, then pushes back; the rest waits on the server.
  await using capture = await captureTables(db, ['public.t'], { maxBytes: 3_000_000 })
  await db.query(`insert into public.t select i, repeat('x', 300) from generate_series(1, 30000) i`)
  const before = await capture.changes(1_500)
  expect(before.at(-1)?.position.index).toBe(1_499)
  const { pid } = await slotOf(db)
  await db.query('select pg_terminate_backend($1)', [pid])
  const after = await capture.changes(28_500)
  expect([...before, ...after].map(({ after: row }) => row?.id)).toEqual(
    Array.from({ length: 30_000 }, (_, index) => String(index + 1)),
  )
})

test('a stage that stalls longer than wal_sender_timeout keeps its connection, bounds memory, and moves nothing', async () => {
  await using db = await createTestDatabase('stall')
  await db.query('create table public.t (id integer primary key, name text)')
  const url = `${db.url}?options=${encodeURIComponent('-c wal_sender_timeout=2s')}`
  const errors: unknown[] = []
  await using capture = await captureTables(db, ['public.t'], {
    url,
    maxBytes: 1_000_000,
    statusEveryMs: 10_000,
    onError: (error) => errors.push(error),
  })
  await db.query(`insert into public.t select i, repeat('x', 300) from generate_series(1, 40000) i`)
  await eventually(() => expect(capture.log.backlog(STAGE)).toBeGreaterThan(0))
  const { pid } = await slotOf(db)
  await eventually(async () => {
    const { rows } = await db.query<{ old: boolean }>(
      `select clock_timestamp() - backend_start > interval '5 s' as old from pg_stat_replication where pid = $1`,
      [pid],
    )
    expect(rows).toEqual([{ old: true }])
  })
  const stalled = await slotOf(db)
  expect(stalled.pid).toBe(pid)
  expect(capture.log.backlog(STAGE)).toBeLessThan(2_000)
  const changes = await capture.changes(40_000)
  // Before its commit was read a keep-alive may have moved the slot up to it, never beyond.
  expect(stalled.confirmed).toBeLessThanOrEqual(changes[0]?.position.lsn ?? 0n)
  expect((await slotOf(db)).pid).toBe(pid)
  expect(errors).toEqual([])
})

/** True when a row that no stage had acknowledged is delivered again after a restart. */
async function survivesRestart(): Promise<boolean> {
  await using db = await createTestDatabase('early')
  await db.query('create table public.t (id integer primary key); create table public.other (id integer, filler text)')
  await using first = await captureTables(db, ['public.t'])
  await db.query('insert into public.t values (1)')
  await peek(first)
  // More than a step of WAL that holds nothing of ours: what tempts a keep-alive to move the slot.
  await db.query(`insert into public.other select i, repeat('y', 500) from generate_series(1, 6000) i`)
  await statusFrames(db, 5)
  await first.stop()
  await using second = startCapture(db, first.setup)
  await db.query('insert into public.t values (2)')
  return (await second.changes(1))[0]?.after?.id === '1'
}

test('a row that no stage has acknowledged is delivered again after a restart', async () => {
  expect(await survivesRestart()).toBe(true)
})

test.each(['confirm-too-early', 'keep-alive-always'] as const)('the check of restarts notices %s', async (bug) => {
  using _bug = plant(bug)
  expect(await survivesRestart()).toBe(false)
})

test('WAL that holds nothing of ours is confirmed by keep-alives, noted before the slot is told', async () => {
  await using db = await createTestDatabase('idle')
  await db.query('create table public.t (id integer primary key); create table public.other (id integer, filler text)')
  await using _capture = await captureTables(db, ['public.t'])
  await db.query(`insert into public.other select i, repeat('y', 500) from generate_series(1, 6000) i`)
  const { rows } = await db.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
  const written = parseLsn(rows[0]?.lsn ?? '0/0')
  await db.query(`insert into public.other select i, repeat('y', 500) from generate_series(1, 6000) i`)
  const confirmed = await eventually(async () => {
    const { confirmed } = await slotOf(db)
    expect(confirmed).toBeGreaterThan(written)
    return confirmed
  })
  const noted = await db.query<{ lsn: string }>('select confirmed_lsn::text as lsn from rescore.capture')
  expect(parseLsn(noted.rows[0]?.lsn ?? '0/0')).toBeGreaterThanOrEqual(confirmed)
})
