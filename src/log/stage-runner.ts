/**
 * Runs one stage: batch in, effects and position committed together, acknowledged after.
 *
 * Invariants. The position moves by compare-and-set in the transaction of the effects: a batch is applied once however
 * often it arrives, and a position moved by another process stops this one. A batch is applied only in a snapshot in
 * which all its transactions are visible (visibility.ts). The reflected position stands still while stale rows are swept
 * (reflected.ts). After any failure the position is read again: it alone says whether a commit without an answer happened.
 */
import { Backoff } from '../db/backoff.ts'
import { isWorthRepeating, type Pool } from '../db/pool.ts'
import { asError } from '../errors.ts'
import { isPlanted } from '../faults.ts'
import type { Clock } from './clock.ts'
import type { InTransaction, Lane } from './lane.ts'
import type { Batch, Log } from './log.ts'
import { comparePositions, type Position, START } from './position.ts'
import { isDone, type Outlook, ReflectedPosition } from './reflected.ts'
import type { Report, Stage } from './stage.ts'
import {
  emitBarrier,
  fenced,
  holdPosition,
  movePosition,
  type Reflected,
  readStored,
  takePosition,
} from './stage-position.ts'
import { Turns } from './turns.ts'
import { inVisibleSnapshot, type SnapshotOptions } from './visibility.ts'

export interface StageRunnerOptions<Work> {
  readonly pool: Pool
  readonly log: Log
  readonly stage: Stage<Work>
  readonly signal: AbortSignal
  readonly report: Report
  /** Given turns while no change waits, the most urgent first; during a sweep only urgent ones. */
  readonly lanes?: readonly Lane[]
  readonly maxEntries?: number
  readonly visibleWithinMs?: number
  /** Named points where crash tests kill the process. */
  readonly faults?: { hit(name: string): Promise<void> | void }
  readonly clock?: Clock | undefined
}

interface Attempt<Work> {
  readonly to: Position
  outlook: Outlook
  readonly work: Work | null
}

/** Live batches between two pieces of sweep under steady load, so that neither starves. */
const BATCHES_PER_SWEEP = 4
const IDLE_WAIT_MS = 1_000

class StageRunner<Work> {
  readonly #options: StageRunnerOptions<Work>
  readonly #snapshot: SnapshotOptions
  readonly #reflected: ReflectedPosition
  readonly #turns: Turns
  #position: Position = START
  #fence = 0n
  /** Where a commit whose answer is not known would have left the position. */
  #attempted: Attempt<Work> | null = null
  #isSweeping = true
  #batchesSinceSweep = 0

  constructor(options: StageRunnerOptions<Work>) {
    this.#options = options
    const { settings, isTimed } = options.stage
    this.#snapshot = { ...options, settings, isTimed }
    this.#turns = new Turns(options.lanes ?? [])
    this.#reflected = new ReflectedPosition(options.stage.upstream)
  }

  async run(): Promise<void> {
    const { stage, signal, report } = this.#options
    const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
    let isStarted = false
    while (!signal.aborted) {
      try {
        if (!isStarted) await this.#start()
        isStarted = true
        if (this.#attempted !== null) await this.#recover(this.#attempted)
        await this.#step()
        // Only a step resets it: a recovery that goes well between failures would make the repeats hammer.
        backoff.reset()
      } catch (error) {
        if (signal.aborted) return
        report({ type: 'failed', stage: stage.name, code: codeOf(error), message: asError(error).message })
        if (!isWorthRepeating(error)) throw error
        // Rejects only when the signal aborts, which the loop's condition sees.
        await backoff.wait(signal).catch(() => undefined)
      }
    }
  }

  async #start(): Promise<void> {
    const { pool, stage, log } = this.#options
    const stored = await takePosition(pool, stage.name)
    this.#position = stored.position
    this.#fence = stored.fence
    const mayBeWithheld = stage.upstream === null && stored.position.lsn > stored.reflectedLsn
    this.#reflected.restore(stored, mayBeWithheld ? await emitBarrier(pool, stage.name) : 0n)
    log.acknowledge(stage.name, stored.position)
  }

  /** The commit whose answer was lost may have happened: only the table knows. */
  async #recover({ to, outlook, work }: Attempt<Work>): Promise<void> {
    const { pool, stage, log } = this.#options
    const stored = await readStored(pool, stage.name)
    if (comparePositions(stored.position, to) === 0) {
      this.#position = to
      this.#reflected.settle(outlook)
      this.#reflected.written({ lsn: stored.reflectedLsn, atMs: 0 })
      log.acknowledge(stage.name, to)
      if (work !== null) stage.committed?.(work)
    } else if (comparePositions(stored.position, this.#position) !== 0) throw fenced(stage.name)
    this.#attempted = null
  }

  async #step(): Promise<void> {
    const { log, stage, signal, maxEntries = 5_000 } = this.#options
    const waitMs = this.#isSweeping ? 0 : Math.min(IDLE_WAIT_MS, this.#turns.dueInMs())
    const mustSweep = this.#isSweeping && this.#batchesSinceSweep >= BATCHES_PER_SWEEP
    const mustGiveTurn = !this.#isSweeping && this.#turns.isOwed()
    const batch = mustSweep || mustGiveTurn ? null : await log.next(stage.name, { maxEntries, waitMs, signal })
    if (batch !== null) {
      this.#batchesSinceSweep += 1
      await this.#handle(batch)
      return
    }
    if (this.#isSweeping) await this.#sweep()
    if (this.#turns.dueInMs(this.#isSweeping) > 0) return
    await this.#turns.step(this.#inTurn, { isSweeping: this.#isSweeping })
  }

  /** Under the stage's fence. What is repeated because its answer was lost finds less to do, like a piece of a sweep. */
  readonly #inTurn: InTransaction = async (work) => {
    const { stage, faults } = this.#options
    this.#attempted = { to: this.#position, outlook: this.#reflected.settled, work: null }
    const result = await inVisibleSnapshot(this.#snapshot, [], async (context) => {
      await holdPosition(context.client, stage.name, { position: this.#position, fence: this.#fence })
      const done = await work(context)
      await faults?.hit(`${stage.name}:turn-before-commit`)
      return done
    })
    await faults?.hit(`${stage.name}:turn-after-commit`)
    this.#attempted = null
    return result
  }

  async #handle(received: Batch): Promise<void> {
    const { log, stage, report, faults } = this.#options
    if (isDone(received, this.#position)) {
      log.acknowledge(stage.name, received.end)
      return
    }
    const batch = this.#withoutDone(received)
    const startedMs = performance.now()
    const work = batch.entries.length === 0 ? null : stage.plan(batch)
    this.#turns.noteBatch(work !== null)
    let outlook = this.#reflected.after(batch)
    if (work === null && (this.#isSweeping || !this.#reflected.isWorthWriting(outlook))) {
      this.#reflected.settle(outlook)
      log.acknowledge(stage.name, batch.end)
      return
    }
    if (isPlanted('position-before-effects')) {
      await inVisibleSnapshot(this.#snapshot, [], ({ client }) => this.#move(client, batch.end, null))
      this.#position = batch.end
    }
    if (isPlanted('reflected-early')) {
      const early = this.#reflected.news(outlook)
      await inVisibleSnapshot(this.#snapshot, [], ({ client }) => this.#move(client, this.#position, early))
    }
    const attempt: Attempt<Work> = { to: batch.end, outlook, work }
    this.#attempted = attempt
    const said = await inVisibleSnapshot(this.#snapshot, batch.xids, async (context) => {
      await faults?.hit(`${stage.name}:before-apply`)
      if (work !== null) {
        await stage.apply(work, context)
        if (stage.looksBeyond?.(work) === true) {
          outlook = this.#reflected.after(batch, await emitBarrier(context.client, stage.name))
          attempt.outlook = outlook
        }
      }
      if (stage.sweepNeeded?.() === true) this.#isSweeping = true
      await faults?.hit(`${stage.name}:after-apply`)
      const news = this.#isSweeping ? null : this.#reflected.news(outlook)
      await this.#move(context.client, batch.end, news)
      await faults?.hit(`${stage.name}:before-commit`)
      return news
    })
    await faults?.hit(`${stage.name}:after-commit`)
    this.#attempted = null
    this.#position = batch.end
    this.#reflected.settle(outlook)
    this.#reflected.written(said)
    log.acknowledge(stage.name, batch.end)
    await faults?.hit(`${stage.name}:after-acknowledge`)
    if (work !== null) stage.committed?.(work)
    report({ type: 'batch', stage: stage.name, entries: batch.entries.length, ms: performance.now() - startedMs })
  }

  #withoutDone(batch: Batch): Batch {
    const entries = batch.entries.filter((entry) => comparePositions(entry.position, this.#position) > 0)
    return entries.length === batch.entries.length ? batch : { ...batch, entries }
  }

  async #sweep(): Promise<void> {
    const { stage, report, faults } = this.#options
    this.#batchesSinceSweep = 0
    const startedMs = performance.now()
    // A piece repeated because its answer was lost does no harm: it finds less to do.
    this.#attempted = { to: this.#position, outlook: this.#reflected.settled, work: null }
    const news = this.#reflected.news(this.#reflected.settled)
    const isMoreLeft = await inVisibleSnapshot(this.#snapshot, [], async (context) => {
      await holdPosition(context.client, stage.name, { position: this.#position, fence: this.#fence })
      const left = await stage.sweep(context)
      // Only when nothing is left is everything settled true.
      if (!left) await this.#move(context.client, this.#position, news)
      await faults?.hit(`${stage.name}:sweep-before-commit`)
      return left
    })
    await faults?.hit(`${stage.name}:sweep-after-commit`)
    this.#attempted = null
    if (!isMoreLeft) this.#reflected.written(news)
    this.#isSweeping = isMoreLeft
    report({ type: 'sweep', stage: stage.name, isMoreLeft, ms: performance.now() - startedMs })
  }

  #move(client: Parameters<typeof movePosition>[0], to: Position, reflected: Reflected | null): Promise<void> {
    const from = { position: this.#position, fence: this.#fence }
    return movePosition(client, this.#options.stage.name, { from, to, reflected })
  }
}

const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'

/** Until the signal aborts. @throws the first error that is not worth repeating */
export function runStage<Work>(options: StageRunnerOptions<Work>): Promise<void> {
  return new StageRunner(options).run()
}
