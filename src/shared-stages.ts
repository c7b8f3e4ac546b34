/**
 * The stages of one process of a shared service: what each reads, and what it writes of itself.
 *
 * Invariant: several objects of a stage apply batches of different partitions at once; their counters are one stage's.
 */
import type { ProjectConfig } from './define/index.ts'
import { featureTables } from './graph/captured-tables.ts'
import type { Graph } from './graph/graph.ts'
import { SILENCED_BY } from './graph/silenced.ts'
import { openKafkaStage, type RunningKafkaStage } from './log/kafka/consume-stage.ts'
import { groupId, topicName } from './log/kafka/topics.ts'
import type { Lane } from './log/lane.ts'
import { type AssignedPartition, StageStatusWriter } from './observe/stage-status.ts'
import { createRecomputeStage } from './recompute/stage.ts'
import { createScoreStage } from './score/stage.ts'
import { lanesOf } from './service-parts.ts'
import type { AnyStage, SharedProcess } from './shared-process.ts'
import { Upcoming } from './timer/upcoming.ts'

/** Leaves the rest of what a process has to stop in (25 s) to leaving the group and closing. */
const DRAIN_MS = 20_000

type StageName = 'recompute' | 'score'

/** By stage: the tables it reads. */
function stageTables(graph: Graph): Readonly<Record<StageName, readonly string[]>> {
  return {
    recompute: graph.tables.map(({ id }) => id),
    // Every feature table, read by a model or not: the barriers of the stage before come through all of them.
    score: featureTables(graph),
  }
}

/** A Debezium connector writes the topics, and there is no slot of ours. */
export function isByDebezium({ capture }: ProjectConfig): boolean {
  return capture === 'debezium'
}

/** By stage: the topics it reads. */
export function stageTopics(graph: Graph, prefix: string): ReadonlyMap<string, readonly string[]> {
  const named = (tables: readonly string[]) => tables.map((table) => topicName(prefix, table))
  return new Map(Object.entries(stageTables(graph)).map(([stage, tables]) => [stage, named(tables)]))
}

function openStage<Work>(
  shared: SharedProcess,
  name: StageName,
  more: {
    readonly createStage: Parameters<typeof openKafkaStage<Work>>[0]['createStage']
    readonly kindOf: (table: string, column: string) => string | undefined
    readonly isFollowed: boolean
    readonly lanes?: readonly Lane[]
  },
): Promise<RunningKafkaStage> {
  const { kafka, options, pool, graph, signal, report } = shared
  const { prefix } = options.kafka
  return openKafkaStage<Work>({
    ...more,
    kafka,
    group: groupId(prefix, name),
    topics: new Map(stageTables(graph)[name].map((table) => [topicName(prefix, table), table])),
    pool,
    url: options.url,
    debezium: isByDebezium(options.config) ? options.kafka : undefined,
    signal,
    report,
    faults: options.faults,
    clock: options.clock,
    maxEntries: options.maxEntries,
    sessionTimeoutMs: options.sessionTimeoutMs,
    drainMs: DRAIN_MS,
    barrierEveryMs: options.barrierEveryMs,
    owner: options.owner,
  })
}

/** Remembers each object made, so that their counters can be added up. */
function remembering<S extends AnyStage>({ stages }: SharedProcess, create: () => S): () => S {
  return () => {
    const stage = create()
    stages.set(stage.name, [...(stages.get(stage.name) ?? []), stage])
    return stage
  }
}

export function openRecompute(shared: SharedProcess): Promise<RunningKafkaStage> {
  const { graph, report, options, pool } = shared
  const tables = new Map(graph.tables.map((table) => [table.id, table]))
  const upcoming = new Upcoming()
  const create = remembering(shared, () =>
    createRecomputeStage({
      graph,
      report,
      strict: options.strict ?? false,
      tally: shared.tally,
      onTimer: upcoming.note,
      ...options.config.backfill,
    }),
  )
  return openStage(shared, 'recompute', {
    createStage: create,
    lanes: lanesOf(
      { pool, graph, log: options.log, report, clock: options.clock, upcoming, worker: options.owner },
      create(),
    ),
    kindOf: (table, column) => tables.get(table)?.columns[column]?.kind,
    isFollowed: true,
  })
}

export function openScore(shared: SharedProcess): Promise<RunningKafkaStage> {
  const { graph, models, report } = shared
  const { isRollback } = shared.options
  const keys = new Map(
    [...graph.entities.values()].map((node) => [node.featureTable, node.entity.table.columns[node.key]?.kind]),
  )
  return openStage(shared, 'score', {
    createStage: remembering(shared, () => createScoreStage({ graph, models, report, isRollback })),
    kindOf: (table, column) => {
      if (column === SILENCED_BY && keys.has(table)) return 'bigint'
      return column === 'key' ? keys.get(table) : undefined
    },
    isFollowed: false,
  })
}

/** Of all objects of a stage. */
function countersOf({ stages }: SharedProcess, name: string) {
  const sum = { handled: 0, computed: 0, written: 0 }
  let needed: number | undefined
  for (const { counters } of stages.get(name) ?? []) {
    sum.handled += counters.handled
    sum.computed += counters.computed
    sum.written += counters.written
    if ('needed' in counters) needed = (needed ?? 0) + counters.needed
  }
  return needed === undefined ? sum : { ...sum, needed }
}

function assignedTo(
  { assigned }: SharedProcess,
  name: string,
  waiting: RunningKafkaStage['waiting'] | undefined,
): readonly AssignedPartition[] {
  return (assigned.get(name) ?? []).map((source) => {
    const { records = 0, sinceMs = null } = waiting?.partition(source) ?? {}
    return { ...source, records, since: sinceMs === null ? null : new Date(sinceMs).toISOString() }
  })
}

export function statusWriter(
  shared: SharedProcess,
  worker: string,
  waiting: ReadonlyMap<string, RunningKafkaStage['waiting']>,
): StageStatusWriter {
  const { pool, options, metrics } = shared
  for (const [name, stage] of waiting) {
    metrics.watchStage({
      name,
      counters: () => countersOf(shared, name),
      backlog: () => stage.backlog(),
      pendingSinceMs: () => stage.pendingSinceMs(),
    })
  }
  return new StageStatusWriter({
    pool,
    worker,
    log: {
      backlog: (stage) => waiting.get(stage)?.backlog() ?? 0,
      pendingSinceMs: (stage) => waiting.get(stage)?.pendingSinceMs() ?? null,
    },
    assigned: (name) => assignedTo(shared, name, waiting.get(name)),
    stages: [...waiting.keys()].map((name) => ({ name, counters: () => countersOf(shared, name) })),
    onError: (error) => options.log.warn({ error: error.message }, 'The status of the stages could not be written.'),
  })
}
