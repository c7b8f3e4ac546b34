/**
 * A small stage, run on an embedded log that the test fills by hand.
 * Invariant: disposing ends the run and waits for it.
 */
import { expect } from 'vitest'
import type { Pool } from '../../src/db/pool.ts'
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts'
import { BARRIER_PREFIX, type Change, type Entry } from '../../src/log/log.ts'
import { END_OF_TRANSACTION, type Position, START } from '../../src/log/position.ts'
import type { ApplyContext, Stage, StageEvent } from '../../src/log/stage.ts'
import { readStored } from '../../src/log/stage-position.ts'
import { runStage, type StageRunnerOptions } from '../../src/log/stage-runner.ts'
import { eventually } from './eventually.ts'
import { change } from './log-chunks.ts'
import { createTestDatabase } from './pg.ts'

export const NAME = 'copy'
export const end = (lsn: number): Position => ({ lsn: BigInt(lsn), index: END_OF_TRANSACTION })

/** Writes the position of every entry of public.t into public.applied, twice if it is applied twice. */
export function copying(more: Partial<Stage<readonly Entry[]>> = {}): Stage<readonly Entry[]> {
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

export async function writeAll(entries: readonly Entry[], { client }: ApplyContext): Promise<void> {
  const ids = entries.map(({ position }) => `${position.lsn}.${position.index}`)
  await client.query('insert into public.applied select unnest($1::text[])', [ids])
}

export interface Running extends AsyncDisposable {
  readonly log: EmbeddedLog
  readonly done: Promise<void>
  readonly events: readonly StageEvent[]
}

export function start(
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

export async function prepared() {
  const db = await createTestDatabase('stage')
  await db.query('create table public.t (id text); create table public.applied (id text)')
  return db
}

/** Entries whose transaction is over: the test database's very first. */
export function append(log: EmbeddedLog, lsn: number, entries: readonly Entry[], isCommitted = true): Promise<void> {
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

export const row = (lsn: number, index = 0, more: Partial<Change> = {}) => change(lsn, index, { xid: 3, ...more })
export const barrier = (lsn: number): Entry => ({
  kind: 'barrier',
  position: { lsn: BigInt(lsn), index: 0 },
  xid: 3,
  committedAtMs: lsn,
  prefix: BARRIER_PREFIX,
  content: '',
})

export async function applied(pool: Pool): Promise<readonly string[]> {
  const { rows } = await pool.query<{ id: string }>('select id from public.applied order by id')
  return rows.map(({ id }) => id)
}

export const reflectedUntil = (pool: Pool, lsn: number) =>
  eventually(async () => expect((await readStored(pool, NAME)).reflectedLsn).toBe(BigInt(lsn)))
