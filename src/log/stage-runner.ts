/**
 * Runs one stage: batch in, effects and position committed together, acknowledged after.
 *
 * Invariants. The position moves by compare-and-set in the transaction of the effects: a batch is applied once however
 * often it arrives, and a position moved by another process stops this one. A batch is applied only in a snapshot in
 * which all its transactions are visible, because a commit can be decoded a moment before it is. The reflected position
 * never moves while stale rows are being swept. After any failure the position is read again: it alone says whether a
 * commit whose answer was lost has happened.
 */
import { Backoff, sleep } from '../db/backoff.ts'
import { formatLsn, parseLsn } from '../db/lsn.ts'
import { type Client, isRetriableDbError, type Pool } from '../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../errors.ts'
import { BARRIER_PREFIX, type Batch, type Change, type Log } from './log.ts'
import { comparePositions, type Position, START } from './position.ts'
import type { ApplyContext, Report, Stage } from './stage.ts'
import { areVisible } from './visibility.ts'

export interface StageRunnerOptions<Work> {
  readonly pool: Pool
  readonly log: Log
  readonly stage: Stage<Work>
  readonly signal: AbortSignal
  readonly report: Report
  readonly maxEntries?: number
  /** Named points where crash tests kill the process. */
  readonly faults?: { hit(name: string): Promise<void> | void }
}

interface Reflected {
  readonly lsn: bigint
  readonly atMs: number
}

/** Live batches between two pieces of sweep under steady load, so that neither starves. */
const BATCHES_PER_SWEEP = 4
const IDLE_WAIT_MS = 1_000

/** The stored position of a stage; START for one that never ran. */
export async function readPosition(pool: Pool, stage: string): Promise<Position> {
  const { rows } = await pool.query<{ lsn: string; index: number }>(
    'select lsn::text, index from rescore.stage_position where stage = $1 and partition = 0',
    [stage],
  )
  const row = rows[0]
  return row === undefined ? START : { lsn: parseLsn(row.lsn), index: row.index }
}

class StageRunner<Work> {
  readonly #options: StageRunnerOptions<Work>
  #position: Position = START
  /** What this stage will vouch for once no sweep is pending. */
  #pendingReflected: Reflected | null = null
  #isSweeping = true
  #batchesSinceSweep = 0

  constructor(options: StageRunnerOptions<Work>) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { pool, stage, signal, report } = this.#options
    const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
    await pool.query(
      `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ($1, '0/0', 0, '0/0') on conflict do nothing`,
      [stage.name],
    )
    this.#position = await readPosition(pool, stage.name)
    while (!signal.aborted) {
      try {
        await this.#step()
        backoff.reset()
      } catch (error) {
        if (signal.aborted) return
        const isRetriable = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
        report({ type: 'failed', stage: stage.name, code: codeOf(error), message: asError(error).message })
        if (!isRetriable) throw error
        await backoff.wait(signal).catch(() => undefined)
        await this.#recoverPosition(backoff)
      }
    }
  }

  /** The commit whose answer was lost may have happened: only the table knows. */
  async #recoverPosition(backoff: Backoff): Promise<void> {
    const { pool, stage, signal, log } = this.#options
    while (!signal.aborted) {
      try {
        const stored = await readPosition(pool, stage.name)
        if (comparePositions(stored, this.#position) > 0) log.acknowledge(stage.name, stored)
        this.#position = stored
        return
      } catch (error) {
        if (!isRetriableDbError(error)) throw error
        await backoff.wait(signal).catch(() => undefined)
      }
    }
  }

  async #step(): Promise<void> {
    const { log, stage, signal, maxEntries = 1_000 } = this.#options
    const waitMs = this.#isSweeping ? 0 : IDLE_WAIT_MS
    const mustSweep = this.#isSweeping && this.#batchesSinceSweep >= BATCHES_PER_SWEEP
    const batch = mustSweep ? null : await log.next(stage.name, { maxEntries, waitMs, signal })
    if (batch !== null) {
      this.#batchesSinceSweep += 1
      await this.#handle(batch)
    } else if (this.#isSweeping) {
      this.#batchesSinceSweep = 0
      await this.#sweep()
    }
  }

  async #handle(received: Batch): Promise<void> {
    const { log, stage, report, faults } = this.#options
    const batch = this.#withoutDone(received)
    const startedMs = performance.now()
    const work = batch.entries.length === 0 ? null : stage.plan(batch)
    const reflected = this.#reflectedBy(batch)
    const hasBarrier = batch.entries.some((entry) => entry.kind === 'barrier' && entry.prefix === BARRIER_PREFIX)
    if (work === null && reflected === null && !(hasBarrier && stage.upstream === null)) {
      log.acknowledge(stage.name, batch.end)
      return
    }
    if (reflected !== null) this.#pendingReflected = reflected
    await this.#transaction(batch.xids, async (context) => {
      await faults?.hit(`${stage.name}:before-apply`)
      if (work !== null) await stage.apply(work, context)
      if (stage.sweepNeeded?.() === true) this.#isSweeping = true
      await faults?.hit(`${stage.name}:after-apply`)
      await this.#move(context.client, batch.end, !this.#isSweeping)
      await faults?.hit(`${stage.name}:before-commit`)
    })
    await faults?.hit(`${stage.name}:after-commit`)
    this.#position = batch.end
    log.acknowledge(stage.name, batch.end)
    await faults?.hit(`${stage.name}:after-acknowledge`)
    if (work !== null) stage.committed?.(work)
    report({ type: 'batch', stage: stage.name, entries: batch.entries.length, ms: performance.now() - startedMs })
  }

  #withoutDone(batch: Batch): Batch {
    const entries = batch.entries.filter((entry) => comparePositions(entry.position, this.#position) > 0)
    return entries.length === batch.entries.length ? batch : { ...batch, entries }
  }

  /** How far this batch lets the stage vouch: to its own end, or to what the stage before says in it. */
  #reflectedBy(batch: Batch): Reflected | null {
    const { stage } = this.#options
    if (stage.upstream === null) return { lsn: batch.end.lsn, atMs: batch.committedAtMs }
    const said = batch.entries.findLast(
      (entry): entry is Change =>
        entry.kind === 'change' && entry.table === 'rescore.stage_position' && entry.after?.stage === stage.upstream,
    )
    const lsn = said?.after?.reflected_lsn
    if (said === undefined || typeof lsn !== 'string') return null
    const at = said.after?.reflected_at
    return {
      lsn: parseLsn(lsn),
      atMs: typeof at === 'string' ? Date.parse(at.replace(' ', 'T').replace('+00', 'Z')) : 0,
    }
  }

  async #sweep(): Promise<void> {
    const { stage, report } = this.#options
    const startedMs = performance.now()
    const isMoreLeft = await this.#transaction([], async (context) => {
      await this.#holdPosition(context.client)
      const left = await stage.sweep(context)
      // Only when nothing is left is everything up to the pending position true.
      if (!left) await this.#move(context.client, this.#position, true)
      return left
    })
    this.#isSweeping = isMoreLeft
    report({ type: 'sweep', stage: stage.name, isMoreLeft, ms: performance.now() - startedMs })
  }

  /** A sweep moves no position, so the row is locked instead: held by, or moved under, one process at a time. */
  async #holdPosition(client: Client): Promise<void> {
    const { rowCount } = await client.query({
      name: 'rescore-hold-position',
      text: `select from rescore.stage_position
             where stage = $1 and partition = 0 and lsn = $2 and index = $3 for update`,
      values: [this.#options.stage.name, formatLsn(this.#position.lsn), this.#position.index],
    })
    if (rowCount === 0) throw this.#fenced()
  }

  #fenced(): RescoreError {
    return new RescoreError({
      code: 'LOG_FENCED',
      fate: 'stop',
      message: `Another process moved the position of stage '${this.#options.stage.name}'.`,
      mend: 'Run one copy of this stage, or let the other one go on; nothing was lost or doubled.',
    })
  }

  async #move(client: Client, to: Position, mayReflect: boolean): Promise<void> {
    const { stage } = this.#options
    const reflected = mayReflect ? this.#pendingReflected : null
    const { rowCount } = await client.query({
      name: 'rescore-move-position',
      text: `update rescore.stage_position
             set lsn = $4, index = $5, moved_at = clock_timestamp(),
                 reflected_lsn = greatest(reflected_lsn, coalesce($6::pg_lsn, reflected_lsn)),
                 reflected_at = coalesce($7::timestamptz, reflected_at)
             where stage = $1 and partition = 0 and lsn = $2 and index = $3`,
      values: [
        stage.name,
        formatLsn(this.#position.lsn),
        this.#position.index,
        formatLsn(to.lsn),
        to.index,
        reflected === null ? null : formatLsn(reflected.lsn),
        reflected === null || reflected.atMs === 0 ? null : new Date(reflected.atMs).toISOString(),
      ],
    })
    if (rowCount === 0) throw this.#fenced()
    if (reflected !== null) await client.query(`select pg_notify('rescore_reflected', $1)`, [stage.name])
  }

  /** REPEATABLE READ, entered only when every transaction of the batch is visible in its snapshot. */
  async #transaction<T>(xids: readonly number[], work: (context: ApplyContext) => Promise<T>): Promise<T> {
    const { pool, signal } = this.#options
    const client = await pool.connect()
    let failure: Error | undefined
    try {
      for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 200)) {
        const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
        await client.query('begin isolation level repeatable read')
        if (await areVisible(client, xids)) {
          const result = await work({ client, snapshotLsn: parseLsn(rows[0]?.lsn ?? '0/0'), signal })
          await client.query('commit')
          return result
        }
        await client.query('rollback')
        await sleep(pauseMs, signal)
      }
    } catch (error) {
      failure = asError(error)
      throw error
    } finally {
      // A failed transaction may be in any state: the connection is given up rather than mended.
      client.release(failure)
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'
}

/** Runs until the signal aborts. @throws the first error that is not worth repeating */
export function runStage<Work>(options: StageRunnerOptions<Work>): Promise<void> {
  return new StageRunner(options).run()
}
