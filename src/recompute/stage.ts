/**
 * The stage 'recompute': from changes to feature rows that are true again.
 *
 * Invariants: everything a batch means is written in the transaction that moves the stage's position, so a crash repeats
 * a batch whole and a repeat finds nothing to write. Nothing is computed that no changed column feeds, nothing written
 * that did not change. Where a change means every row of an entity (a truncated table) the definitions get a new epoch
 * instead, and the sweep catches up in bounded pieces while the reflected position stands still.
 */
import type { Client, Pool } from '../db/pool.ts'
import type { Batch } from '../log/log.ts'
import type { ApplyContext, Stage } from '../log/stage.ts'
import { type Dirty, mask, type Plan, planAffected } from './affected.ts'
import { type AskedDone, type AskedEntities, askedBits, doneOf, unknownEntity } from './asked.ts'
import { shareDefinitions } from './definitions-lock.ts'
import { deployFeatures } from './deploy.ts'
import { type Counters, Engine, type Task } from './engine.ts'
import { type EntityEpochs, makeStale, readEpochs } from './epochs.ts'
import { type Fired, fireTimers, type Outcomes } from './fire.ts'
import type { Outcome } from './outcome.ts'
import type { RecomputeStageOptions } from './stage-options.ts'
import { Sweeper } from './sweep.ts'
import { resolveTraces } from './traces.ts'

/** A planned batch, and what applying it came to. */
export interface RecomputeWork extends Outcomes {
  readonly plan: Plan
}

export interface RecomputeStage extends Stage<RecomputeWork> {
  /** Names of entities with features that read time. */
  readonly timedEntities: readonly string[]
  /** Of committed batches, and of sweeps; computed also where the transaction then failed. */
  readonly counters: Readonly<Counters>
  /** Recomputes what is asked for, by the way that changes go. */
  recompute(context: ApplyContext, asked: AskedEntities): Promise<AskedDone>
  /**
   * Fires timers of an entity, about `limit` of them; null where none is due that nobody else has in hand. Its `work` is
   * for `committed`.
   */
  fire(context: ApplyContext, entity: string, limit: number): Promise<Fired | null>
  committed(work: Outcomes): void
}

/** One batch that affects more entities than this leaves them to the sweep, so that no transaction grows without bound. */
const MAX_ENTITIES_PER_BATCH = 50_000
export const APPROVE_ABOVE = 100_000
/** Events are for people; a batch of more is not read line by line. */
const MAX_EVENTS_PER_BATCH = 1_000

/** Every look-up is by key: plans that scan were made for tables that were empty when they were made. */
const PLANNER = `set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;
  set local plan_cache_mode = force_generic_plan;`

function zero(): Counters {
  return { handled: 0, computed: 0, needed: 0, written: 0 }
}

class Recompute implements RecomputeStage {
  readonly name = 'recompute'
  readonly upstream = null
  readonly settings = PLANNER
  readonly isTimed: boolean
  readonly timedEntities: readonly string[]
  readonly counters = zero()
  readonly #options: RecomputeStageOptions
  readonly #engines: ReadonlyMap<string, Engine>
  readonly #sweeper: Sweeper
  #hasMadeStale = false

  constructor(options: RecomputeStageOptions) {
    const { graph, strict, tally } = options
    this.#options = options
    this.#engines = new Map(
      [...graph.entities].map(([name, node]) => [name, new Engine(node, strict, tally?.of(name) ?? null)]),
    )
    this.timedEntities = [...this.#engines].filter(([, { program }]) => program.timed !== 0n).map(([name]) => name)
    this.isTimed = this.timedEntities.length > 0
    this.#sweeper = new Sweeper([...this.#engines.values()].map(({ program }) => program))
  }

  deploy(pool: Pool): Promise<void> {
    const programs = [...this.#engines.values()].map(({ program }) => program)
    const { approveAbove = APPROVE_ABOVE, isRollback = false } = this.#options
    return deployFeatures(pool, this.#options.graph, programs, this.#options.report, { approveAbove, isRollback })
  }

  async admit({ client }: ApplyContext): Promise<void> {
    await shareDefinitions(client)
    await readEpochs(client, this.#options.graph)
  }

  plan(batch: Batch): RecomputeWork | null {
    const plan = planAffected(this.#options.graph, batch)
    return plan === null ? null : { plan, events: [], counters: zero() }
  }

  async apply(work: RecomputeWork, context: ApplyContext): Promise<void> {
    const { plan } = work
    this.#hasMadeStale = false
    work.events = []
    work.counters = zero()
    await resolveTraces(context.client, plan)
    await this.#leaveToSweep(context.client, plan)
    const epochs = await readEpochs(context.client, this.#options.graph)
    const tasks: [Engine, Task][] = []
    for (const [entity, engine] of this.#engines) {
      const keys = plan.affected.get(entity)
      const entityEpochs = epochs.get(entity)
      if (keys === undefined || entityEpochs === undefined) continue
      const onWritten = (outcome: Outcome) => this.#note(work, entity, outcome)
      const run = { context, epochs: entityEpochs, counters: work.counters, onWritten, onTimer: this.#options.onTimer }
      tasks.push([engine, await engine.begin(run, keys)])
    }
    try {
      for (const [engine, task] of tasks) await engine.recompute(task)
    } finally {
      // Also when it comes to nothing: what is repeated is computed again.
      this.counters.computed += work.counters.computed
    }
  }

  async recompute(context: ApplyContext, { entity, keys, features, isForced, job }: AskedEntities): Promise<AskedDone> {
    const { engine, epochs } = await this.#admitted(context, entity)
    const asked = { bits: askedBits(engine.program, features), isForced }
    const counters = zero()
    const outcomes: Outcome[] = []
    const onOutcomes = (found: readonly Outcome[]) => void outcomes.push(...found)
    const run = { context, epochs, counters, asked, job, onOutcomes, onTimer: this.#options.onTimer }
    await engine.recompute(await engine.begin(run, new Map(keys.map((key) => [key, null]))))
    this.counters.computed += counters.computed
    this.#count(counters)
    return doneOf(outcomes, keys.length)
  }

  async fire(context: ApplyContext, entity: string, limit: number): Promise<Fired | null> {
    const { engine, epochs } = await this.#admitted(context, entity)
    const work: Outcomes = { events: [], counters: zero() }
    const onWritten = (outcome: Outcome) => this.#note(work, entity, outcome)
    const run = { context, epochs, counters: work.counters, onWritten, onTimer: this.#options.onTimer }
    const fired = await fireTimers(engine, run, limit)
    this.counters.computed += work.counters.computed
    return fired === null ? null : { ...fired, work }
  }

  /** For work that no batch brings. */
  async #admitted(context: ApplyContext, entity: string) {
    const engine = this.#engines.get(entity)
    const epochs = (await this.#epochs(context)).get(entity)
    if (engine === undefined || epochs === undefined) throw unknownEntity(entity)
    return { engine, epochs }
  }

  looksBeyond({ plan }: RecomputeWork): boolean {
    return plan.traces.length > 0
  }

  committed(work: Outcomes): void {
    this.#count(work.counters)
    for (const event of work.events) this.#options.report(event)
  }

  sweepNeeded(): boolean {
    return this.#hasMadeStale
  }

  async sweep(context: ApplyContext): Promise<boolean> {
    const epochs = await this.#epochs(context)
    const counters = zero()
    const isMoreLeft = await this.#sweeper.piece(
      context.client,
      (entity) => epochs.get(entity)?.swept ?? 0,
      async (program, keys) => {
        const name = program.node.entity.name
        const entityEpochs = epochs.get(name)
        if (entityEpochs === undefined) return
        const entities = new Map<string, Dirty | null>(keys.map((key) => [key, null]))
        const engine = this.#engines.get(name)
        const run = { context, epochs: entityEpochs, counters, onTimer: this.#options.onTimer }
        await engine?.recompute(await engine.begin(run, entities))
      },
    )
    this.counters.computed += counters.computed
    this.#count(counters)
    return isMoreLeft
  }

  /** Of a transaction that handles no batch, and so was not admitted. */
  async #epochs({ client, isShared = false }: ApplyContext): Promise<ReadonlyMap<string, EntityEpochs>> {
    if (isShared) await shareDefinitions(client)
    return readEpochs(client, this.#options.graph)
  }

  /** Truncated tables, and entities too many for one transaction. */
  async #leaveToSweep(client: Client, plan: Plan): Promise<void> {
    const stale = new Map<string, bigint>()
    for (const table of plan.truncated) {
      for (const { entity, bits } of this.#options.graph.readers.get(table) ?? []) {
        stale.set(entity, (stale.get(entity) ?? 0n) | mask(bits))
      }
    }
    for (const [entity, keys] of plan.affected) {
      if (keys.size <= MAX_ENTITIES_PER_BATCH) continue
      let bits = stale.get(entity) ?? 0n
      for (const dirty of keys.values()) bits |= dirty.bits
      stale.set(entity, bits)
      plan.affected.delete(entity)
    }
    // In one order, or two workers with a truncated table each would wait for each other.
    for (const [entity, bits] of [...stale].sort(([one], [other]) => (one < other ? -1 : 1))) {
      const engine = this.#engines.get(entity)
      if (engine !== undefined) await makeStale(client, engine.node, bits)
    }
    if (stale.size === 0) return
    this.#hasMadeStale = true
    this.#sweeper.restart()
  }

  #note(work: Outcomes, entity: string, { row, dirty, computed }: Outcome): void {
    if (computed === null || computed.moves.length === 0 || work.events.length >= MAX_EVENTS_PER_BATCH) return
    work.events.push({
      type: 'recomputed',
      entity,
      key: row.key,
      causes: dirty?.causes ?? [],
      moves: computed.moves,
      computed: computed.computed,
    })
  }

  #count(counters: Counters): void {
    this.counters.handled += counters.handled
    this.counters.needed += counters.needed
    this.counters.written += counters.written
  }
}

export function createRecomputeStage(options: RecomputeStageOptions): RecomputeStage {
  return new Recompute(options)
}
