import { afterAll, beforeAll, expect, test } from 'vitest'
import { captureTables } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { change } from '../../test/support/log-contract.ts'
import { type OwnServer, startOwnServer } from '../../test/support/own-server.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { formatLsn } from '../db/lsn.ts'
import type { Pool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { plant } from '../faults.ts'
import { EmbeddedLog } from './embedded/embedded-log.ts'
import { BARRIER_PREFIX, type Change, type Entry } from './log.ts'
import { END_OF_TRANSACTION, type Position, START } from './position.ts'
import type { ApplyContext, Stage, StageEvent } from './stage.ts'
import { readStored } from './stage-position.ts'
import { runStage, type StageRunnerOptions } from './stage-runner.ts'

const NAME = 'copy'
const end = (lsn: number): Position => ({ lsn: BigInt(lsn), index: END_OF_TRANSACTION })

/** Writes the position of every entry of public.t into public.applied, twice if it is applied twice. */
function copying(more: Partial<Stage<readonly Entry[]>> = {}): Stage<readonly Entry[]> {
  return {
    name: NAME,
    upstream: null,
    deploy: () => Promise.resolve(),
    plan: ({ entries }) => {
      const mine = entries.filter((entry) => entry.kind === 'change' && entry.table === 'public.t')
      return mine.length === 0 ? null : mine
    },
    apply: writeAll,
    sweep: () => Promise.resolve(false),
    ...more,
  }
}

async function writeAll(entries: readonly Entry[], { client }: ApplyContext): Promise<void> {
  const ids = entries.map(({ position }) => `${position.lsn}.${position.index}`)
  await client.query('insert into public.applied select unnest($1::text[])', [ids])
}

interface Running extends AsyncDisposable {
  readonly log: EmbeddedLog
  readonly done: Promise<void>
  readonly events: readonly StageEvent[]
}

function start(
  pool: Pool,
  stage: Stage<readonly Entry[]>,
  more: Partial<StageRunnerOptions<readonly Entry[]>> & { log?: EmbeddedLog } = {},
): Running {
  const log = more.log ?? new EmbeddedLog({ stages: new Map([[NAME, START]]) })
  const events: StageEvent[] = []
  const ending = new AbortController()
  const done = runStage({ pool, stage, signal: ending.signal, report: (event) => events.push(event), ...more, log })
  const ended = done.catch(() => undefined)
  return {
    log,
    done,
    events,
    [Symbol.asyncDispose]: async () => {
      ending.abort(new Error('The test has ended.'))
      await ended
    },
  }
}

async function prepared() {
  const db = await createTestDatabase('stage')
  await db.query('create table public.t (id text); create table public.applied (id text)')
  return db
}

/** Entries whose transaction is over: the test database's very first. */
function append(log: EmbeddedLog, lsn: number, entries: readonly Entry[], isCommitted = true): Promise<void> {
  const last = entries.at(-1)?.position ?? START
  return log.append(
    {
      entries,
      end: isCommitted ? end(lsn) : last,
      commit: isCommitted ? { lsn: BigInt(lsn), endLsn: BigInt(lsn + 10) } : null,
      committedAtMs: lsn * 1_000,
      bytes: 100,
    },
    AbortSignal.timeout(10_000),
  )
}

const row = (lsn: number, index = 0, more: Partial<Change> = {}) => change(lsn, index, { xid: 3, ...more })
const barrier = (lsn: number): Entry => ({
  kind: 'barrier',
  position: { lsn: BigInt(lsn), index: 0 },
  xid: 3,
  committedAtMs: lsn,
  prefix: BARRIER_PREFIX,
  content: '',
})

async function applied(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ id: string }>('select id from public.applied order by id')
  return rows.map(({ id }) => id)
}

const reflectedUntil = (pool: Pool, lsn: number) =>
  eventually(async () => expect((await readStored(pool, NAME)).reflectedLsn).toBe(BigInt(lsn)))

test('effects and position are committed together, and a batch that comes again is not applied again', async () => {
  await using db = await prepared()
  const first = start(db.pool, copying())
  await append(first.log, 100, [row(100, 0), row(100, 1)])
  await reflectedUntil(db.pool, 100)
  await first[Symbol.asyncDispose]()
  expect(await readStored(db.pool, NAME)).toEqual({ position: end(100), reflectedLsn: 100n })
  // A new life, to which the slot sends the same again.
  await using second = start(db.pool, copying())
  await append(second.log, 100, [row(100, 0), row(100, 1)])
  await append(second.log, 200, [row(200)])
  await reflectedUntil(db.pool, 200)
  expect(await applied(db.pool)).toEqual(['100.0', '100.1', '200.0'])
})

test.each([
  ['a serialization failure', '40001'],
  ['a deadlock', '40P01'],
])('after %s effects and position are rolled back together, and the batch is repeated', async (_what, code) => {
  await using db = await prepared()
  let [failures, seen] = [2, START]
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      if (failures === 0) return
      failures -= 1
      seen = (await readStored(db.pool, NAME)).position
      await context.client.query(`do $$ begin raise exception 'planted' using errcode = '${code}'; end $$`)
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  expect(seen).toEqual(START)
  expect(await applied(db.pool)).toEqual(['100.0'])
  expect(running.events.filter(({ type }) => type === 'failed')).toMatchObject([{ code }, { code }])
})

test('an error of fate stop ends the stage, and leaves neither effect nor position', async () => {
  await using db = await prepared()
  const failure = new RescoreError({ code: 'TEST_STOP', fate: 'stop', message: 'planted', mend: 'none' })
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      throw failure
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await expect(running.done).rejects.toBe(failure)
  expect(await applied(db.pool)).toEqual([])
  expect((await readStored(db.pool, NAME)).position).toEqual(START)
  expect(running.log.confirmableLsn()).toBeNull()
})

test('an error swallowed inside a stage does not pass for a commit', async () => {
  await using db = await prepared()
  let swallowed = 1
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      if (swallowed === 0) return
      swallowed -= 1
      await context.client.query('select 1/0').catch(() => undefined)
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await expect(running.done).rejects.toMatchObject({ code: '25P02' })
  expect(await applied(db.pool)).toEqual([])
})

test('a position moved by another process fences this one before anything is applied', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  await db.query(`update rescore.stage_position set lsn = '0/FF' where stage = $1`, [NAME])
  await append(running.log, 200, [row(200)])
  await expect(running.done).rejects.toMatchObject({ code: 'LOG_FENCED', fate: 'stop' })
  expect(await applied(db.pool)).toEqual(['100.0'])
})

test('a position moved by another process in the middle of a batch fences this one too', async () => {
  await using db = await prepared()
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      await db.query(`update rescore.stage_position set lsn = '0/FF' where stage = $1`, [NAME])
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await expect(running.done).rejects.toMatchObject({ code: 'LOG_FENCED', fate: 'stop' })
  expect(await applied(db.pool)).toEqual([])
})

test('a transaction handed over in pieces is vouched for with its last entry, not before', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  await append(running.log, 200, [row(200, 0), row(200, 1)], false)
  await eventually(async () => expect(await applied(db.pool)).toHaveLength(3))
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect(await readStored(db.pool, NAME)).toEqual({ position: { lsn: 200n, index: 1 }, reflectedLsn: 100n })
  await append(running.log, 200, [])
  await reflectedUntil(db.pool, 200)
})

test('a barrier and a change nobody reads make the position move; changes of Rescore itself do not', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100, 0, { table: 'rescore.features_t' })])
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  await append(running.log, 200, [barrier(200)])
  await reflectedUntil(db.pool, 200)
  await append(running.log, 300, [row(300, 0, { table: 'public.unread' })])
  await reflectedUntil(db.pool, 300)
  const { rows: before } = await db.query('select xmin::text from rescore.stage_position')
  await append(running.log, 400, [
    row(400, 0, { table: 'rescore.stage_position', after: { stage: NAME, reflected_lsn: '0/12C' } }),
  ])
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect((await db.query('select xmin::text from rescore.stage_position')).rows).toEqual(before)
})

test('the reflected position stands still while stale rows are swept, and then takes in all that was applied', async () => {
  await using db = await prepared()
  let left = true
  await using running = start(db.pool, copying({ sweep: () => Promise.resolve(left) }))
  await append(running.log, 100, [row(100)])
  await append(running.log, 200, [barrier(200)])
  await eventually(async () => expect(await applied(db.pool)).toEqual(['100.0']))
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect((await readStored(db.pool, NAME)).reflectedLsn).toBe(0n)
  left = false
  await reflectedUntil(db.pool, 200)
})

test('a failed batch is not vouched for by the sweep that comes between', async () => {
  await using db = await prepared()
  const seen: bigint[] = []
  let [failures, swept] = [3, 0]
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      if (failures === 0) return
      failures -= 1
      throw new RescoreError({ code: 'TEST_RETRY', fate: 'retry', message: 'planted', mend: 'none' })
    },
    sweep: async () => {
      swept += 1
      seen.push((await readStored(db.pool, NAME)).reflectedLsn)
      return swept < 3
    },
  })
  const log = new EmbeddedLog({ stages: new Map([[NAME, START]]) })
  for (let lsn = 100; lsn <= 500; lsn += 100) await append(log, lsn, [row(lsn)])
  await using _running = start(db.pool, stage, { log, maxEntries: 1 })
  await reflectedUntil(db.pool, 500)
  expect(await applied(db.pool)).toHaveLength(5)
  expect(seen.every((lsn) => lsn === 0n)).toBe(true)
})

test('the position committed before the effects is noticed: a failure between loses the batch', async () => {
  using _bug = plant('position-before-effects')
  await using db = await prepared()
  let failures = 1
  const stage = copying({
    apply: async (entries, context) => {
      if (failures > 0) {
        failures -= 1
        throw new RescoreError({ code: 'TEST_RETRY', fate: 'retry', message: 'planted', mend: 'none' })
      }
      await writeAll(entries, context)
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await append(running.log, 200, [row(200)])
  await reflectedUntil(db.pool, 200)
  expect(await applied(db.pool)).not.toContain('100.0')
})

/**
 * A server whose commits wait for a standby that does not exist, where they ask for one. Such a commit is in the
 * write-ahead log and durable, but neither visible to others nor answered: the two moments that are hard to hit.
 */
let waiting: OwnServer
beforeAll(async () => {
  waiting = await startOwnServer({ synchronous_commit: 'local', synchronous_standby_names: 'nobody' })
  await waiting.pool.query(
    'create table public.t (id text primary key); create table public.applied (id text, seen boolean)',
  )
})
afterAll(() => waiting[Symbol.asyncDispose]())

/** Ends the wait of a session for the standby; its commit has happened. */
async function release(pool: Pool, how: 'pg_cancel_backend' | 'pg_terminate_backend'): Promise<void> {
  await eventually(async () => {
    const { rows } = await pool.query(`select ${how}(pid) as done from pg_stat_activity where wait_event = 'SyncRep'`)
    expect(rows).toEqual([{ done: true }])
  })
}

test('a commit whose answer was lost is applied once', async () => {
  const { pool } = waiting
  await pool.query('truncate public.applied; delete from rescore.stage_position')
  let isFirst = true
  const told: string[] = []
  const stage = copying({
    committed: (entries) => told.push(...entries.map(({ position }) => formatLsn(position.lsn))),
    apply: async (entries, { client }) => {
      await client.query('insert into public.applied select unnest($1::text[])', [
        entries.map(({ position }) => formatLsn(position.lsn)),
      ])
      if (isFirst) await client.query(`set local synchronous_commit = 'on'`)
      isFirst = false
    },
  })
  await using running = start(pool, stage)
  await append(running.log, 100, [row(100)])
  await release(pool, 'pg_terminate_backend')
  await append(running.log, 200, [row(200)])
  await reflectedUntil(pool, 200)
  expect((await pool.query('select id from public.applied order by id')).rows).toEqual([{ id: '0/64' }, { id: '0/C8' }])
  expect(told).toEqual(['0/64', '0/C8'])
  expect(running.events).toContainEqual(expect.objectContaining({ type: 'failed' }))
})

/** Whether the row of a commit that was decoded before it was visible was seen by the stage. */
async function seenByStage(name: string): Promise<readonly unknown[]> {
  const { pool, url } = waiting
  await pool.query('truncate public.applied, public.t; delete from rescore.stage_position; delete from rescore.capture')
  await using capture = await captureTables({ name, pool, url }, ['public.t'])
  const stage = copying({
    name: 'reader',
    apply: async (_entries, { client }) => {
      await client.query(`insert into public.applied select 'x', exists (select from public.t)`)
    },
  })
  await using running = start(pool, stage, { log: capture.log, visibleWithinMs: 200 })
  const writer = await pool.connect()
  try {
    await writer.query(`set synchronous_commit = 'on'`)
    const writing = writer.query(`insert into public.t values ('late')`)
    await eventually(() =>
      expect(capture.log.backlog('reader') === 1 || running.events.some(({ type }) => type === 'batch')).toBe(true),
    )
    // Applied too early, or told as waiting.
    await eventually(() =>
      expect(running.events.map(({ type }) => type)).toContainEqual(expect.stringMatching(/^(batch|failed)$/)),
    )
    await release(pool, 'pg_cancel_backend')
    await writing
    await eventually(() => expect(running.events.map(({ type }) => type)).toContain('batch'))
  } finally {
    writer.release(true)
  }
  await capture.stop()
  const { rows } = await pool.query('select seen from public.applied')
  await eventually(() => pool.query('select pg_drop_replication_slot($1)', [name]))
  return [...rows, ...running.events.flatMap((event) => (event.type === 'failed' ? [event.code] : [])).slice(0, 1)]
}

test('a batch whose transaction is decoded but not yet visible waits until it is, and says so', async () => {
  expect(await seenByStage('visible')).toEqual([{ seen: true }, 'LOG_NOT_VISIBLE'])
})

test('the check of visibility notices when it is not done', async () => {
  using _bug = plant('visibility-not-checked')
  expect(await seenByStage('unchecked')).toEqual([{ seen: false }])
})
