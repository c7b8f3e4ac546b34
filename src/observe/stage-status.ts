/**
 * Writes what the running stages know of themselves to rescore.stage_status, once a second: the source of `rescore status`.
 *
 * Invariants: written outside the stages' transactions and never captured, so it wakes nobody and slows nothing; a
 * failed write is retried with the next figures and never stops a stage. After a crash the last figures stand with
 * their time, so that a reader sees how old they are. A worker that ends well takes its rows with it; those of workers
 * that crashed are removed by whoever starts later.
 */
import { sleep } from '../db/backoff.ts'
import { isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { StageEvent } from '../log/stage.ts'

const EVERY_MS = 1_000
/** The trend compares the lag now with the lag this many writes ago. */
const TREND_WRITES = 10
/** Figures that did not move are written this seldom: an idle service must not keep PostgreSQL busy. */
const IDLE_WRITES = 30
/** A worker must be seen more often: that it does not write is how others know that it has gone. */
const IDLE_WRITES_OF_WORKER = 10
/** Seconds after which a worker that has not written counts as gone: three writes missed, and a pause. */
export const WORKER_GONE_SECONDS = 35
/** Until then the last error of a worker that crashed can be looked at. */
const FORGET_WORKERS = `interval '1 day'`
/** Seconds by which the lag must differ to be called rising or falling. */
const TREND_SECONDS = 0.5

interface Counters {
  readonly handled: number
  readonly computed: number
  readonly written: number
}

export interface WatchedStage {
  readonly name: string
  /** Running totals since the start of the process. */
  counters(): Counters
}

interface Figures {
  entries: number
  lastError: string | null
  lastErrorAtMs: number | null
  readonly lags: number[]
  handledBefore: Counters
  isSweeping: boolean
  /** The last values written, and how many writes were left out since. */
  lastWritten: string
  leftOut: number
}

function trendOf(lags: readonly number[]): string | null {
  const [oldest] = lags
  const newest = lags.at(-1)
  if (oldest === undefined || newest === undefined || lags.length < 2) return null
  if (newest - oldest > TREND_SECONDS) return 'rising'
  return oldest - newest > TREND_SECONDS ? 'falling' : 'steady'
}

export interface AssignedPartition {
  readonly topic: string
  readonly partition: number
  /** Not yet handled. */
  readonly records: number
  /** Time of the oldest of them, ISO; null: nothing waits. */
  readonly since: string | null
}

export interface StageStatusOptions {
  readonly pool: Pool
  readonly log: Pick<Log, 'backlog' | 'pendingSinceMs'>
  /** The process, where several share a stage; each has a row of its own. */
  readonly worker?: string
  /** Of a stage that processes share. */
  readonly assigned?: (stage: string) => readonly AssignedPartition[]
  readonly stages: readonly WatchedStage[]
  readonly onError: (error: Error) => void
  /** Default 1,000. */
  readonly everyMs?: number
}

export class StageStatusWriter {
  readonly #options: StageStatusOptions
  readonly #figures: ReadonlyMap<string, Figures>

  constructor(options: StageStatusOptions) {
    this.#options = options
    const zero = { handled: 0, computed: 0, written: 0 }
    this.#figures = new Map(
      options.stages.map(({ name }) => [
        name,
        {
          entries: 0,
          lastError: null,
          lastErrorAtMs: null,
          lags: [],
          handledBefore: zero,
          isSweeping: true,
          lastWritten: '',
          leftOut: 0,
        },
      ]),
    )
  }

  add(event: StageEvent): void {
    if (event.type !== 'batch' && event.type !== 'failed' && event.type !== 'sweep') return
    const figures = this.#figures.get(event.stage)
    if (figures === undefined) return
    if (event.type === 'batch') figures.entries += event.entries
    else if (event.type === 'sweep') figures.isSweeping = event.isMoreLeft
    else {
      figures.lastError = `${event.code}: ${event.message}`
      figures.lastErrorAtMs = Date.now()
    }
  }

  /** Runs until the signal aborts, and writes once more then; a worker takes its rows back instead. */
  async run(signal: AbortSignal): Promise<void> {
    const { pool, worker = '' } = this.#options
    let writtenMs = performance.now()
    let isPruned = false
    for (;;) {
      await sleep(this.#options.everyMs ?? EVERY_MS, signal).catch(() => undefined)
      // An abort in the middle of a write has a round of its own.
      const isLast = signal.aborted
      const nowMs = performance.now()
      try {
        if (isLast && worker !== '') {
          await pool.query('delete from rescore.stage_status where worker = $1', [worker])
          return
        }
        if (!isPruned && worker !== '') {
          const old = `delete from rescore.stage_status where worker <> '' and updated_at < now() - ${FORGET_WORKERS}`
          await pool.query(old)
        }
        isPruned = true
        for (const stage of this.#options.stages) await this.#write(stage, (nowMs - writtenMs) / 1_000)
      } catch (error) {
        this.#options.onError(asError(error))
        if (!isRetriableDbError(error)) throw error
      }
      if (isLast) return
      writtenMs = nowMs
    }
  }

  async #write(stage: WatchedStage, seconds: number): Promise<void> {
    const figures = this.#figures.get(stage.name)
    if (figures === undefined) return
    const { log, pool, worker = '', assigned = () => [] } = this.#options
    const pendingSinceMs = log.pendingSinceMs(stage.name)
    const lag = pendingSinceMs === null ? 0 : Math.max(0, (Date.now() - pendingSinceMs) / 1_000)
    figures.lags.push(lag)
    if (figures.lags.length > TREND_WRITES) figures.lags.shift()
    const counters = stage.counters()
    const before = figures.handledBefore
    const { entries, lastError, lastErrorAtMs } = figures
    const values = [
      entries,
      counters.computed - before.computed,
      counters.written - before.written,
      log.backlog(stage.name),
      lag,
      trendOf(figures.lags),
      (counters.handled - before.handled) / Math.max(seconds, 0.001),
      figures.isSweeping,
      lastError,
      lastErrorAtMs === null ? null : new Date(lastErrorAtMs).toISOString(),
      JSON.stringify(assigned(stage.name)),
    ]
    const written = JSON.stringify(values)
    if (written === figures.lastWritten && figures.leftOut < (worker === '' ? IDLE_WRITES : IDLE_WRITES_OF_WORKER)) {
      figures.leftOut += 1
      return
    }
    await pool.query(
      `insert into rescore.stage_status as s
         (stage, entries, computed, changed, backlog, lag_seconds, lag_trend, rate_per_second, sweeping, last_error, last_error_at,
          assigned, worker)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
       on conflict (stage, worker) do update set entries = s.entries + excluded.entries, computed = s.computed + excluded.computed,
         changed = s.changed + excluded.changed, backlog = excluded.backlog, lag_seconds = excluded.lag_seconds,
         assigned = excluded.assigned,
         lag_trend = excluded.lag_trend, rate_per_second = excluded.rate_per_second, sweeping = excluded.sweeping,
         last_error = coalesce(excluded.last_error, s.last_error),
         last_error_at = coalesce(excluded.last_error_at, s.last_error_at), updated_at = clock_timestamp()`,
      [stage.name, ...values, worker],
    )
    figures.lastWritten = written
    figures.leftOut = 0
    // Events go on coming while the statement runs: only what was written is taken off.
    figures.entries -= entries
    figures.handledBefore = counters
    if (figures.lastErrorAtMs === lastErrorAtMs && figures.lastError === lastError) {
      figures.lastError = null
      figures.lastErrorAtMs = null
    }
  }
}
