/**
 * Recomputes a set of entities of one kind inside the caller's transaction: load, compute, write, piece by piece.
 *
 * Invariant: memory is bounded by a piece, however many entities a batch affects. A piece is loaded with the inputs its
 * dirty features can reach; only rows that turn out to be missing, stale or put aside are loaded again with everything.
 */

import { quoteTable } from '../db/pool.ts'
import { columnOf } from '../define/index.ts'
import type { EntityNode } from '../graph/graph.ts'
import { type Held, holdKeys } from '../log/hold.ts'
import type { ApplyContext } from '../log/stage.ts'
import type { Dirty } from './affected.ts'
import { type Asked, computeRow, type Demand, demandAsked, demandOf } from './compute.ts'
import { ComputedBefore, type Entities, type Look } from './computed.ts'
import type { EntityEpochs } from './epochs.ts'
import { isPossibleKey } from './literals.ts'
import { type LoadedRow, Loader } from './load.ts'
import { NullLimit } from './null-room.ts'
import { isOrphan, type Job, mustWrite, type Outcome } from './outcome.ts'
import { compileProgram, type Program, reachableFrom } from './program.ts'
import { statement } from './statement.ts'
import type { EntityTally } from './tally.ts'
import { writeTimers } from './timers.ts'
import { Writer } from './write.ts'

const PIECE = 1_000

/** Totals since the stage was made, or of one transaction. */
export interface Counters {
  /** Entities looked at. */
  handled: number
  /** Features computed. */
  computed: number
  /**
   * Features that had to be computed: fed directly by a changed column (after filters) that no earlier computation of
   * any worker has read, by a changed definition or a missing row, or by a feature whose value moved. Beyond it is what
   * heals entities that were put aside, and what was computed for a transaction that did not commit.
   */
  needed: number
  /** Feature rows inserted, updated or deleted. */
  written: number
}

export interface EngineRun {
  readonly context: ApplyContext
  readonly epochs: EntityEpochs
  readonly counters: Counters
  /** What of entities of which nothing is known to be dirty; missing: what is stale. */
  readonly asked?: Asked
  /** On whose behalf, where it is not a change's or a sweep's. */
  readonly job?: Job | null
  /** Told of what each entity came to. */
  readonly onOutcomes?: (outcomes: readonly Outcome[]) => void
  /** Told of every entity whose row was written. */
  readonly onWritten?: (outcome: Outcome) => void
  /** Told of the soonest timer of each piece, milliseconds since 1970. */
  readonly onTimer?: ((dueMs: number) => void) | undefined
}

type Piece = ReadonlyMap<string, Dirty | null>

/** What is left to do of what was asked for, once its keys are held. */
export interface Task {
  readonly run: EngineRun
  readonly entities: Entities
  /** Null for a stage that is not shared, and for sweeps. */
  readonly look: Look | null
}

/** Runs now, throws later: an error must not leave a statement running that nobody waits for. */
function settle<T>(work: () => T): () => T {
  try {
    const value = work()
    return () => value
  } catch (error) {
    return () => {
      throw error
    }
  }
}

/** Without those that a newer row has refused: whoever wrote it has written its timers. */
function standing(
  outcomes: readonly Outcome[],
  written: readonly Outcome[],
  context: Parameters<typeof mustWrite>[1],
): readonly Outcome[] {
  const stored = new Set(written)
  return outcomes.filter((outcome) => stored.has(outcome) || !(mustWrite(outcome, context) || isOrphan(outcome)))
}

function heldBy({ node, keyType }: Program): Held {
  const text = `select key::text as key from ${quoteTable(node.featureTable)}
    where key = any($1::text[]::${keyType}[]) order by ${quoteTable(node.featureTable)}.key for update`
  return { space: node.entity.name, lock: { ...statement('hold', text), values: [] } }
}

export class Engine {
  readonly node: EntityNode
  readonly program: Program
  readonly #loader: Loader
  readonly #writer: Writer
  readonly #held: Held
  readonly #before: ComputedBefore
  readonly #nulls: NullLimit
  readonly #isStrict: boolean
  readonly #tally: EntityTally | null

  constructor(node: EntityNode, isStrict: boolean, tally: EntityTally | null = null) {
    this.#tally = tally
    this.node = node
    this.program = compileProgram(node)
    this.#loader = new Loader(this.program)
    this.#writer = new Writer(this.program)
    this.#held = heldBy(this.program)
    this.#before = new ComputedBefore(this.program)
    this.#nulls = new NullLimit(node)
    this.#isStrict = isStrict
  }

  /**
   * From here on nobody else recomputes these entities, where the stage is shared, and what is read is what the last one
   * left. Of every entity before any is computed: what has to wait or to be repeated does so before there is work in it.
   * @param entities key → what is dirty; null: look whether anything is
   * @throws RescoreError LOG_KEYS_HELD of fate `retry`
   */
  async begin(run: EngineRun, entities: ReadonlyMap<string, Dirty | null>): Promise<Task> {
    const { client, isShared = false } = run.context
    const { kind } = columnOf(this.node.entity.table, this.node.key)
    const possible = [...entities].filter(([key]) => isPossibleKey(kind, key))
    const isSweep = possible.every(([, dirty]) => dirty === null)
    const asked = isShared && !isSweep ? (await this.#before.look(client, possible)).left : possible
    if (!isShared || asked.length === 0) return { run, entities: asked, look: null }
    const keys = asked.map(([key]) => key)
    const held = { ...run, context: await holdKeys(run.context, this.#held, keys) }
    if (isSweep) return { run: held, entities: asked, look: null }
    const look = await this.#before.look(client, asked)
    return { run: held, entities: look.left, look }
  }

  async recompute({ run, entities, look }: Task): Promise<void> {
    const pieceAt = (from: number): Piece => new Map(entities.slice(from, from + PIECE))
    let rows = await this.#load(run, pieceAt(0))
    for (let from = 0; from < entities.length; from += PIECE) {
      run.context.signal.throwIfAborted()
      // PostgreSQL loads the next piece while this one is computed here; keys differ, so neither sees the other.
      const loading = this.#load(run, pieceAt(from + PIECE))
      const computed = settle(() => this.#compute(run, pieceAt(from), rows))
      rows = await loading
      await this.#write(run, look, await this.#withinNulls(run, computed()))
    }
  }

  #demand({ asked, epochs }: EngineRun, row: LoadedRow, dirty: Dirty | null): Demand {
    if (dirty === null && asked !== undefined) return demandAsked(this.program, row, asked, epochs.changedIn)
    return demandOf(this.program, row, dirty?.bits ?? null, epochs.changedIn)
  }

  #compute(run: EngineRun, piece: Piece, rows: readonly LoadedRow[]): readonly Outcome[] {
    const { counters } = run
    counters.handled += rows.length
    return rows.flatMap((row): readonly Outcome[] => {
      const dirty = piece.get(row.key) ?? null
      if (!row.exists) return [{ row, dirty, computed: null }]
      const demand = this.#demand(run, row, dirty)
      // Put aside, and still for the same reason.
      if (row.aside !== null && demand.forced === 0n) return []
      const needed = demand.needed & ~(dirty?.done ?? 0n)
      const computed = computeRow(this.program, row, { ...demand, needed }, this.#isStrict, this.#tally)
      counters.computed += computed.computed
      counters.needed += computed.needed
      return [{ row, dirty, computed }]
    })
  }

  #withinNulls(run: EngineRun, outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    return this.#nulls.fit(run.context.client, outcomes, (outcome, room) => {
      const demand = this.#demand(run, outcome.row, outcome.dirty)
      return { ...outcome, computed: computeRow(this.program, outcome.row, demand, this.#isStrict, null, room) }
    })
  }

  async #write(
    { context, epochs, counters, job = null, onOutcomes, onWritten, onTimer }: EngineRun,
    look: Look | null,
    outcomes: readonly Outcome[],
  ): Promise<void> {
    const { client, snapshotLsn } = context
    const { current: epoch, swept } = epochs
    const writing = { client, snapshotLsn, epoch, swept, job }
    const written = await this.#writer.write(writing, outcomes)
    counters.written += written.length
    const soonestMs = await writeTimers(client, this.program, standing(outcomes, written, writing))
    if (soonestMs !== null) onTimer?.(soonestMs)
    onOutcomes?.(outcomes)
    if (look !== null) await this.#before.note(client, look, outcomes)
    if (onWritten !== undefined) written.forEach(onWritten)
  }

  async #load(run: EngineRun, entities: Piece): Promise<readonly LoadedRow[]> {
    if (entities.size === 0) return []
    const { program } = this
    const { context } = run
    let bits = 0n
    // What is dirty for no reason of a change is stale or missing: everything may be needed.
    for (const dirty of entities.values()) bits |= dirty?.bits ?? run.asked?.bits ?? program.all
    const loaded = reachableFrom(program, bits)
    const rows = await this.#loader.load(context.client, loaded, [...entities.keys()], context.nowMs)
    const isEnough = (row: LoadedRow) => {
      const dirty = entities.get(row.key) ?? null
      const { forced } = this.#demand(run, row, dirty)
      return forced === dirty?.bits || (reachableFrom(program, forced) & ~loaded) === 0n
    }
    if (loaded === program.all) return rows
    const [enough, more] = [rows.filter(isEnough), rows.filter((row) => !isEnough(row))]
    if (more.length === 0) return enough
    const again = await this.#loader.load(
      context.client,
      program.all,
      more.map(({ key }) => key),
      context.nowMs,
    )
    return [...enough, ...again]
  }
}
