/**
 * What this process tells Prometheus: counted as it happens, or read from its parts when it is asked.
 *
 * Invariants: nothing here slows a stage down: what happens per entity is counted by the stages themselves, and what is
 * in PostgreSQL is read only when somebody scrapes (database-watch.ts). Totals begin at 0 with the process, as Prometheus
 * expects after a crash.
 */
import { collectDefaultMetrics, Registry } from 'prom-client'
import type { StageEvent } from '../log/stage.ts'
import type { DatabaseFigures, DatabaseWatch } from './database-watch.ts'
import { setFeatures, setViolations } from './feature-metrics.ts'
import type { Health } from './health.ts'
import { createMetricTable } from './metric-table.ts'

export interface StageSource {
  readonly name: string
  /** Running totals since the start of the process. */
  counters(): {
    readonly handled: number
    readonly computed: number
    readonly written: number
    readonly needed?: number
  }
  backlog(): number
  /** Milliseconds since 1970; null: nothing waits. */
  pendingSinceMs(): number | null
}

export interface BudgetSource {
  readonly connector: string
  readonly budget: string
  started(): number
  left(): number
}

export interface ConnectorEvent {
  readonly connector: string
  readonly stream: string
  readonly event: 'landed' | 'pass' | 'failed'
  readonly landed?: { readonly written: number; readonly rejected: number }
  readonly error?: Error
}

/** Codes are ours or of a few libraries; should one ever be made out of data, it does not become a series each. */
const MAX_CODES = 60
const OTHER = 'OTHER'

class Codes {
  readonly #known = new Set<string>()

  of(code: unknown): string {
    if (typeof code !== 'string' || !/^[A-Z0-9][A-Z0-9_]{0,63}$/.test(code)) return OTHER
    if (this.#known.size < MAX_CODES) this.#known.add(code)
    return this.#known.has(code) ? code : OTHER
  }
}

export class Metrics {
  readonly registry = new Registry()
  readonly #table = createMetricTable(this.registry)
  readonly #codes = new Codes()
  readonly #stages: StageSource[] = []
  readonly #budgets: BudgetSource[] = []

  constructor(version = 'unknown') {
    this.#table.build.set({ version, node: process.versions.node }, 1)
  }

  /** Processor, memory, event loop and collector of the process, under the names all Node programs have. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.registry })
  }

  watchStage(stage: StageSource): void {
    this.#stages.push(stage)
  }

  watchBudget(budget: BudgetSource): void {
    this.#budgets.push(budget)
  }

  /** A series that is there from the start is one an alert can look at. */
  watchStreams(connector: string, streams: readonly string[]): void {
    for (const stream of streams) {
      for (const counter of [this.#table.landed, this.#table.rejected, this.#table.passes]) {
        counter.inc({ connector, stream }, 0)
      }
    }
  }

  stageEvent(event: StageEvent): void {
    const table = this.#table
    if (event.type === 'batch') {
      table.stageEntries.inc({ stage: event.stage }, event.entries)
      table.stageBatch.observe({ stage: event.stage }, event.ms / 1_000)
    } else if (event.type === 'sweep') {
      table.stageSweep.observe({ stage: event.stage }, event.ms / 1_000)
      table.stageSweeping.set({ stage: event.stage }, event.isMoreLeft ? 1 : 0)
    } else if (event.type === 'fired') {
      table.timersFired.inc(event.timers)
      table.timerLateness.observe(event.lateMs / 1_000)
    } else if (event.type === 'failed') {
      table.stageFailures.inc({ stage: event.stage, code: this.#codes.of(event.code) })
    } else if (event.type === 'scored' && event.from !== null && event.sourceAtMs !== null) {
      table.freshness.observe({ model: event.model }, Math.max(0, Date.now() - event.sourceAtMs) / 1_000)
    }
  }

  connectorEvent({ connector, stream, event, landed, error }: ConnectorEvent): void {
    const at = { connector, stream }
    const table = this.#table
    if (event === 'landed' && landed !== undefined) {
      table.landed.inc(at, landed.written)
      table.rejected.inc(at, landed.rejected)
    } else if (event === 'pass') {
      table.passes.inc(at)
      table.lastPass.set(at, Date.now() / 1_000)
    } else if (event === 'failed') {
      const code = error !== undefined && 'code' in error ? error.code : undefined
      table.connectorFailures.inc({ ...at, code: this.#codes.of(code) })
    }
  }

  published(records: number, bytes: number): void {
    this.#table.publishedRecords.inc(records)
    this.#table.publishedBytes.inc(bytes)
  }

  role(role: string, isLeader: boolean): void {
    this.#table.roleLeader.set({ role }, isLeader ? 1 : 0)
  }

  assigned(stage: string, partitions: number): void {
    this.#table.stagePartitions.set({ stage }, partitions)
  }

  /** The exposition text. */
  async text(health: Health, database: DatabaseWatch): Promise<string> {
    const problem = await database.problem()
    const figures = problem === null ? await this.#figures(database) : null
    const features = problem === null ? database.features() : null
    if (features instanceof Error) this.#countFailure(features)
    // In one tick, so that two scrapes at once do not see each other's totals half set.
    this.#table.databaseReachable.set(problem === null ? 1 : 0)
    for (const [part, { state }] of health.parts) {
      this.#table.partReady.set({ part }, state === 'running' || state === 'standing by' ? 1 : 0)
    }
    this.#readStages()
    this.#readBudgets()
    this.#readDatabase(figures)
    setViolations(this.#table, figures?.violations ?? [])
    setFeatures(this.#table, features instanceof Error ? null : features)
    return this.registry.metrics()
  }

  async #figures(database: DatabaseWatch): Promise<DatabaseFigures | null> {
    try {
      return await database.figures()
    } catch (error) {
      this.#countFailure(error)
      return null
    }
  }

  #countFailure(error: unknown): void {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    this.#table.scrapeFailures.inc({ code: this.#codes.of(code) })
  }

  get contentType(): string {
    return this.registry.contentType
  }

  #readStages(): void {
    const table = this.#table
    for (const counter of [table.stageHandled, table.stageComputed, table.stageNeeded, table.stageWritten]) {
      counter.reset()
    }
    for (const { name: stage, counters, backlog, pendingSinceMs } of this.#stages) {
      const { handled, computed, written, needed } = counters()
      table.stageHandled.inc({ stage }, handled)
      table.stageComputed.inc({ stage }, computed)
      table.stageWritten.inc({ stage }, written)
      if (needed !== undefined) table.stageNeeded.inc({ stage }, needed)
      const sinceMs = pendingSinceMs()
      table.stageLag.set({ stage }, sinceMs === null ? 0 : Math.max(0, Date.now() - sinceMs) / 1_000)
      table.stageBacklog.set({ stage }, backlog())
    }
  }

  #readBudgets(): void {
    this.#table.calls.reset()
    for (const { connector, budget, started, left } of this.#budgets) {
      this.#table.calls.inc({ connector, budget }, started())
      this.#table.budgetLeft.set({ connector, budget }, left())
    }
  }

  #readDatabase(figures: DatabaseFigures | null): void {
    const table = this.#table
    // What cannot be read is left out: an old figure would look like a new one.
    table.stageUnreflected.reset()
    for (const gauge of [
      table.slotActive,
      table.slotLost,
      table.slotRetained,
      table.slotUnconfirmed,
      table.deadLetters,
      table.unpublished,
      table.quarantined,
      table.rejectsKept,
      table.pastBytes,
      table.pastPartitions,
      table.pastStrays,
      table.pastRun,
      table.pastWaiting,
      table.timersOverdue,
    ]) {
      gauge.remove()
    }
    if (figures === null) return
    for (const { stage, behind } of figures.stages) table.stageUnreflected.set({ stage }, behind)
    const { slot, aside } = figures
    if (slot !== null) {
      table.slotActive.set(slot.active ? 1 : 0)
      table.slotLost.set(slot.lost ? 1 : 0)
      table.slotRetained.set(slot.retained)
      table.slotUnconfirmed.set(slot.unconfirmed)
    }
    table.deadLetters.set(aside.deadLetters)
    table.unpublished.set(aside.unpublished)
    table.quarantined.set(aside.quarantined)
    table.rejectsKept.set(aside.rejected)
    table.timersOverdue.set(aside.overdue)
    this.#readPast(figures)
  }

  #readPast({ past }: DatabaseFigures): void {
    const table = this.#table
    table.pastBytes.set(past.bytes)
    table.pastPartitions.set(past.partitions)
    table.pastStrays.set(past.strays)
    if (past.lastRun === null) return
    const { endedAt, error } = past.lastRun
    table.pastWaiting.set(error === null ? 0 : 1)
    if (endedAt !== null) table.pastRun.set(Date.parse(endedAt) / 1_000)
  }
}
