/**
 * One process's share of one stage over Kafka: its membership in the group, its part in saying what is reflected, and,
 * in whichever process holds the lease, the sweeps.
 *
 * Invariants: nothing is kept in the process that PostgreSQL does not have, so any number of them may come and go;
 * batches of different partitions are applied at once, each by a stage object of its own, because a stage keeps state
 * while it applies. The first part that cannot go on ends the others.
 */
import { hostname } from 'node:os'
import type { Kafka } from 'kafkajs'
import { runAsLeader } from '../../db/leader.ts'
import { isRetriableDbError, type Pool } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import type { Faults } from '../../faults.ts'
import type { Clock } from '../clock.ts'
import type { Lane } from '../lane.ts'
import type { Source } from '../log.ts'
import type { Report, Stage } from '../stage.ts'
import { Turns } from '../turns.ts'
import { readFound } from './beginning.ts'
import { registerZstd } from './compress.ts'
import { runConnectorProgress } from './connect-progress.ts'
import type { PartitionHandler } from './consume.ts'
import { runGroup } from './consume-group.ts'
import { runLanes } from './consume-lane.ts'
import { PartitionRunner } from './consume-partition.ts'
import { sweepsOf } from './consume-sweep.ts'
import type { KafkaRecord, KindOf } from './decode.ts'
import { ensurePartitions } from './partitions.ts'
import { persevere } from './persevere.ts'
import { whileHeld } from './positions.ts'
import { Reflector } from './positions-reflected.ts'
import type { ConnectSettings } from './settings.ts'

export interface KafkaStageOptions<Work> {
  readonly kafka: Kafka
  readonly group: string
  /** Topic to `schema.name` of the table whose changes it carries. */
  readonly topics: ReadonlyMap<string, string>
  readonly kindOf: KindOf
  readonly pool: Pool
  /** For the lease of the sweeps. */
  readonly url: string
  /** The Debezium connector that writes the topics; missing: Rescore writes them. */
  readonly debezium?: { readonly prefix: string; readonly connect: ConnectSettings } | undefined
  /** Called for as many as are applied at once, and one for the sweeps. */
  readonly createStage: () => Stage<Work>
  /** Given turns beside the changes, in every process; the most urgent first. */
  readonly lanes?: readonly Lane[] | undefined
  /** Another stage follows this one. */
  readonly isFollowed: boolean
  readonly signal: AbortSignal
  readonly report: Report
  readonly faults?: Faults | undefined
  /** Instead of the database's. */
  readonly clock?: Clock | undefined
  /** Partitions handled at once. Default 3. */
  readonly concurrency?: number | undefined
  /** Records of one transaction. Default 1,000. */
  readonly maxEntries?: number | undefined
  readonly sessionTimeoutMs?: number | undefined
  readonly drainMs?: number
  readonly barrierEveryMs?: number | undefined
  /** Shown as the owner of partitions. */
  readonly owner?: string | undefined
}

/** Records read but not handled, of the partitions this process has in hand. */
export interface StageBacklog {
  backlog(): number
  pendingSinceMs(): number | null
  partition(source: Source): PartitionBacklog | undefined
}

export interface PartitionBacklog {
  readonly records: number
  /** Milliseconds since 1970; null: nothing waits. */
  readonly sinceMs: number | null
}

class KafkaStage<Work> implements PartitionHandler, StageBacklog {
  readonly #options: KafkaStageOptions<Work>
  readonly #name: string
  readonly #idle: Stage<Work>[]
  readonly #reflector: Reflector
  readonly #partitions = new Map<string, PartitionRunner<Work>>()
  readonly #waiting = new Map<string, PartitionBacklog>()
  readonly #owner: string

  constructor(options: KafkaStageOptions<Work>) {
    this.#options = options
    const first = options.createStage()
    this.#name = first.name
    const { concurrency = 3, pool, report, isFollowed, barrierEveryMs } = options
    this.#idle = [first, ...Array.from({ length: concurrency - 1 }, options.createStage)]
    this.#owner = options.owner ?? `${hostname()} ${process.pid}`
    this.#reflector = new Reflector({
      pool,
      stage: first.name,
      report,
      // No barrier comes through topics that a connector writes.
      isFollowed: isFollowed && options.debezium === undefined,
      isFirst: first.upstream === null,
      ...(barrierEveryMs === undefined ? {} : { barrierEveryMs }),
    })
  }

  /** Definitions first, then a row for every partition there is. */
  async prepare(): Promise<void> {
    const { pool, kafka, topics, signal } = this.#options
    const [stage] = this.#idle
    if (stage !== undefined) await whileHeld(pool, this.#name, () => stage.deploy(pool))
    const look = () => readFound(kafka, [...topics.keys()], 'low')
    const found = await persevere(look, { signal, onError: (error) => this.#reportError(asError(error)) })
    await ensurePartitions(pool, this.#name, found)
  }

  async run(): Promise<void> {
    const { kafka, group, topics, signal, url, createStage, pool, report, faults, clock } = this.#options
    const ending = new AbortController()
    const over = AbortSignal.any([signal, ending.signal])
    const onSwept = () => this.#reflector.poke(false)
    const sweeps = { pool, stage: createStage(), report, faults, clock, onSwept }
    const names = [...topics.keys()]
    const parts = [
      this.#reflector.run(over),
      runAsLeader(url, `sweep ${this.#name}`, over, sweepsOf(sweeps)),
      runGroup({
        kafka,
        group,
        topics: names,
        handler: this,
        signal: over,
        onError: (error) => this.#reportError(error),
        concurrency: this.#options.concurrency ?? 3,
        maxEntries: this.#options.maxEntries ?? 1_000,
        ...(this.#options.drainMs === undefined ? {} : { drainMs: this.#options.drainMs }),
        ...(this.#options.sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs: this.#options.sessionTimeoutMs }),
      }),
    ]
    const { lanes, debezium } = this.#options
    const { settings, upstream, isTimed } = sweeps.stage
    if (lanes !== undefined) {
      const stage = { name: this.#name, settings, isTimed }
      const waitingMs = () => this.#waitingMs()
      parts.push(runLanes({ pool, turns: new Turns(lanes), stage, waitingMs, report, faults, clock }, over))
    }
    if (debezium !== undefined) {
      const about = { stage: this.#name, upstream, topics: names, report, onSaid: sweeps.onSwept }
      const progress = { ...debezium, ...about, pool, kafka }
      const work = (isLeader: AbortSignal) => runConnectorProgress(progress, isLeader)
      parts.push(runAsLeader(url, `debezium ${this.#name}`, over, work))
    }
    const outcomes = await Promise.allSettled(
      parts.map((part) => part.finally(() => ending.abort(new Error('Another part of the stage has ended.')))),
    )
    const [first] = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [asError(outcome.reason)] : []))
    if (first !== undefined && !signal.aborted) throw first
  }

  async stored(source: Source) {
    const { nextOffset } = await this.#partition(source).stored()
    return { nextOffset }
  }

  forget(): void {
    for (const partition of this.#partitions.values()) partition.forget()
    this.#waiting.clear()
  }

  handle(source: Source, records: readonly KafkaRecord[], signal: AbortSignal): Promise<void> {
    return this.#partition(source).handle(records, signal)
  }

  noteBacklog(source: Source, records: number, sinceMs: number | null): void {
    this.#waiting.set(JSON.stringify(source), { records, sinceMs })
  }

  backlog(): number {
    return [...this.#waiting.values()].reduce((sum, { records }) => sum + records, 0)
  }

  pendingSinceMs(): number | null {
    const times = [...this.#waiting.values()].flatMap(({ sinceMs }) => (sinceMs === null ? [] : [sinceMs]))
    return times.length === 0 ? null : Math.min(...times)
  }

  #waitingMs(): number | null {
    const since = this.pendingSinceMs()
    return since === null ? null : Date.now() - since
  }

  partition(source: Source): PartitionBacklog | undefined {
    return this.#waiting.get(JSON.stringify(source))
  }

  #partition(source: Source): PartitionRunner<Work> {
    const id = JSON.stringify(source)
    const known = this.#partitions.get(id)
    if (known !== undefined) return known
    const { pool, topics, kindOf, report, faults, clock } = this.#options
    const made = new PartitionRunner<Work>({
      pool,
      stage: this.#name,
      source,
      table: topics.get(source.topic) ?? source.topic,
      kindOf,
      writer: this.#options.debezium === undefined ? 'rescore' : 'debezium',
      owner: this.#owner,
      report,
      clock,
      ...(faults === undefined ? {} : { faults }),
      leastHandled: () => this.#reflector.handledLsn,
      onMoved: (isChanged) => this.#reflector.poke(isChanged),
      withStage: (work) => this.#withStage(work),
    })
    this.#partitions.set(id, made)
    return made
  }

  async #withStage<T>(work: (stage: Stage<Work>) => Promise<T>): Promise<T> {
    // One more than kafkajs hands out at once is only asked for while a member of the group is replaced by its next.
    const stage = this.#idle.pop() ?? this.#options.createStage()
    try {
      return await work(stage)
    } finally {
      this.#idle.push(stage)
    }
  }

  #reportError(error: Error): void {
    const code = isRescoreError(error) ? error.code : isRetriableDbError(error) ? 'DB_CONNECTION' : 'UNEXPECTED'
    this.#options.report({ type: 'failed', stage: this.#name, code, message: error.message })
  }
}

export interface RunningKafkaStage {
  readonly waiting: StageBacklog
  /** Until the signal aborts. @throws what ends the stage otherwise */
  run(): Promise<void>
}

/** Deploys the definitions and makes the positions; nothing is read before `run`. */
export async function openKafkaStage<Work>(options: KafkaStageOptions<Work>): Promise<RunningKafkaStage> {
  registerZstd()
  const stage = new KafkaStage(options)
  await stage.prepare()
  return { waiting: stage, run: () => stage.run() }
}
