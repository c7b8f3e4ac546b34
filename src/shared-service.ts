/**
 * One process of a service that shares its work over Kafka: the parts it was asked to run, wired and watched.
 *
 * Invariants: everything is brought in line (migrations, source tables, definitions, topics) before the process takes
 * part, and doing it twice or at once does no harm; what there is one of (capture, each connector) runs under a role and
 * waits as a stand-by otherwise; workers keep nothing that PostgreSQL does not have. The first part that cannot go on
 * ends all others, and its error is what the caller gets. Killing the process at any point is safe.
 */
import { hostname } from 'node:os'
import type { Kafka } from 'kafkajs'
import { publishChanges } from './capture/publishing.ts'
import { ensureCapture } from './capture/slot.ts'
import { BudgetBook } from './connect/budget.ts'
import { prepareConnector } from './connect/runner.ts'
import { superviseConnector } from './connect/supervise.ts'
import { runAsLeader } from './db/leader.ts'
import { acquireLease } from './db/lease.ts'
import { migrate } from './db/migrate.ts'
import { createPool, type Pool } from './db/pool.ts'
import { asError } from './errors.ts'
import { capturedTables, featureTables } from './graph/captured-tables.ts'
import { compileGraph } from './graph/compile.ts'
import type { Graph } from './graph/graph.ts'
import { pathColumns } from './graph/path-columns.ts'
import { createKafka } from './log/kafka/client.ts'
import { openKafkaStage, type RunningKafkaStage } from './log/kafka/consume-stage.ts'
import { wantSweepOfAll, whileHeld } from './log/kafka/positions.ts'
import type { KafkaSettings } from './log/kafka/settings.ts'
import { groupId, topicName } from './log/kafka/topics.ts'
import { ensureTopics } from './log/kafka/topics-admin.ts'
import type { Report } from './log/stage.ts'
import { emitBarrier } from './log/stage-position.ts'
import { StageStatusWriter } from './observe/stage-status.ts'
import { createRecomputeStage, type RecomputeStage } from './recompute/stage.ts'
import { loadModels, type ModelSet } from './score/registry.ts'
import { createScoreStage, type ScoreStage } from './score/stage.ts'
import type { ServiceOptions } from './service.ts'
import { finish } from './service-parts.ts'

export const PARTS = ['capture', 'recompute', 'score', 'connect'] as const
/** What a process may be asked to run. */
export type Part = (typeof PARTS)[number]

export interface SharedServiceOptions extends ServiceOptions {
  readonly kafka: KafkaSettings
  readonly parts: ReadonlySet<Part>
  /** Told apart from other processes of the same host by more than its number: tests run several in one. */
  readonly owner?: string
  readonly sessionTimeoutMs?: number
  readonly barrierEveryMs?: number
}

type AnyStage = RecomputeStage | ScoreStage

export interface SharedService {
  readonly graph: Graph
  readonly pool: Pool
  /** The stage objects of this process, by stage: their counters add up. */
  readonly stages: ReadonlyMap<string, readonly AnyStage[]>
  /** By stage: what this process has read and not handled. */
  readonly waiting: ReadonlyMap<string, RunningKafkaStage['waiting']>
  /** Resolves when the signal has aborted and every part has ended; rejects with what ended it otherwise. */
  readonly done: Promise<void>
}

interface Wiring {
  readonly options: SharedServiceOptions
  readonly pool: Pool
  readonly graph: Graph
  readonly models: ModelSet
  readonly kafka: Kafka
  readonly signal: AbortSignal
  readonly report: Report
  readonly stages: Map<string, AnyStage[]>
}

/** @throws RescoreError of fate `stop` when the set-up, the definitions, a model, the database or Kafka is not usable */
export async function startSharedService(options: SharedServiceOptions): Promise<SharedService> {
  const { url, config, log, parts } = options
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const graph = compileGraph(config)
  const onPoolError = (error: Error) => log.warn({ error: error.message }, 'An idle database connection was lost.')
  const pool = createPool({ url, applicationName: 'rescore', max: 16, onError: onPoolError })
  let models: ModelSet | null = null
  const close = async () => {
    await Promise.all([models?.[Symbol.asyncDispose](), pool.end()])
  }
  try {
    models = await loadModels(parts.has('score') ? config.models : [], { signal })
    const keeping = (await acquireLease(url, signal, { mode: 'shared' })).keep(signal)
    try {
      const wired = await wire({ ...options, signal }, pool, graph, models)
      const done = finish([keeping, ...wired.running], failure, options.signal, close)
      return { graph, pool, stages: wired.stages, waiting: wired.waiting, done }
    } catch (error) {
      failure.abort(error)
      await keeping.catch((lost: Error) => log.warn({ error: lost.message }, 'The lease was lost.'))
      throw error
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function wire(options: SharedServiceOptions, pool: Pool, graph: Graph, models: ModelSet) {
  const { kafka: settings, signal, log, parts } = options
  const owner = options.owner ?? `${hostname()} ${process.pid}`
  let status: StageStatusWriter | null = null
  const wiring: Wiring = {
    options: { ...options, owner },
    pool,
    graph,
    models,
    kafka: createKafka(settings, { role: [...parts].join('-'), log }),
    signal,
    stages: new Map(),
    report: (event) => {
      status?.add(event)
      options.report?.(event)
    },
  }
  await prepare(wiring)
  const opened = new Map<string, RunningKafkaStage>()
  if (parts.has('recompute')) opened.set('recompute', await openRecompute(wiring))
  if (parts.has('score')) opened.set('score', await openScore(wiring))
  const waiting = new Map([...opened].map(([name, stage]) => [name, stage.waiting]))
  status = statusWriter(wiring, owner, waiting)
  const running = [
    status.run(signal),
    ...[...opened.values()].map((stage) => stage.run()),
    ...(parts.has('capture') ? [runCapture(wiring)] : []),
    ...(parts.has('connect') ? runConnectors(wiring) : []),
  ]
  return { running, stages: wiring.stages, waiting }
}

async function prepare({ options, pool, graph }: Wiring): Promise<void> {
  const { config, kafka: settings, log } = options
  await migrate(pool)
  for (const connector of config.connectors) {
    await prepareConnector({ pool, connector, foreignKeys: pathColumns(graph) })
  }
  // Capture and scoring need the feature tables whether or not a worker has made them yet.
  const recompute = createRecomputeStage({ graph, report: () => undefined, strict: false })
  await whileHeld(pool, recompute.name, () => recompute.deploy(pool))
  const { rows } = await pool.query<{ topic: string }>(
    `select distinct topic from rescore.stage_position where topic <> '' and lsn > '0/0'`,
  )
  const read = new Set(rows.map(({ topic }) => topic))
  const differences = await ensureTopics(settings, { role: 'start', log }, capturedTables(graph), read)
  for (const { spec, differences: found } of differences) {
    log.warn({ topic: spec.name, differences: found }, 'A topic is not as it should be: see `rescore topics`.')
  }
}

function openStage<Work>(
  wiring: Wiring,
  name: string,
  tables: readonly string[],
  more: {
    readonly createStage: Parameters<typeof openKafkaStage<Work>>[0]['createStage']
    readonly kindOf: (table: string, column: string) => string | undefined
    readonly isFollowed: boolean
  },
): Promise<RunningKafkaStage> {
  const { kafka, options, pool, signal, report } = wiring
  const { prefix } = options.kafka
  return openKafkaStage<Work>({
    ...more,
    kafka,
    group: groupId(prefix, name),
    topics: new Map(tables.map((table) => [topicName(prefix, table), table])),
    pool,
    url: options.url,
    signal,
    report,
    faults: options.faults,
    maxEntries: options.maxEntries,
    sessionTimeoutMs: options.sessionTimeoutMs,
    barrierEveryMs: options.barrierEveryMs,
    owner: options.owner,
  })
}

/** Remembers each object made, so that their counters can be added up. */
function remembering<S extends AnyStage>({ stages }: Wiring, create: () => S): () => S {
  return () => {
    const stage = create()
    stages.set(stage.name, [...(stages.get(stage.name) ?? []), stage])
    return stage
  }
}

function openRecompute(wiring: Wiring): Promise<RunningKafkaStage> {
  const { graph, report, options } = wiring
  const tables = new Map(graph.tables.map((table) => [table.id, table]))
  return openStage(wiring, 'recompute', [...tables.keys()], {
    createStage: remembering(wiring, () => createRecomputeStage({ graph, report, strict: options.strict ?? false })),
    kindOf: (table, column) => tables.get(table)?.columns[column]?.kind,
    isFollowed: true,
  })
}

function openScore(wiring: Wiring): Promise<RunningKafkaStage> {
  const { graph, models, report } = wiring
  const keys = new Map(
    [...graph.entities.values()].map((node) => [node.featureTable, node.entity.table.columns[node.key]?.kind]),
  )
  // Every feature table, read by a model or not: the barriers of the stage before come through all of them.
  return openStage(wiring, 'score', featureTables(graph), {
    createStage: remembering(wiring, () => createScoreStage({ graph, models, report })),
    kindOf: (table, column) => (column === 'key' ? keys.get(table) : undefined),
    isFollowed: false,
  })
}

function runCapture({ options, pool, graph, kafka, signal }: Wiring): Promise<void> {
  const { config, slot, publication, url, log, faults } = options
  const tables = capturedTables(graph)
  const filled = config.connectors.flatMap(({ streams }) =>
    streams.flatMap(({ tables: own }) => own.map(({ id }) => id)),
  )
  return runAsLeader(url, 'capture', signal, async (isLeader) => {
    await ensureCapture(pool, { slot, publication, tables, owned: [...filled, ...featureTables(graph)] })
    // What was written before there was a slot only a sweep sees; one that ran before the slot was made saw too little.
    await wantSweepOfAll(pool, ['recompute', 'score'])
    // Whoever waited already has a barrier that no slot kept.
    await emitBarrier(pool, 'capture')
    await publishChanges({
      pool,
      url,
      slot,
      publication,
      kafka,
      tables,
      prefix: options.kafka.prefix,
      signal: isLeader,
      onError: (error, retryInMs) =>
        log.warn({ error: asError(error).message, retryInMs: Math.round(retryInMs) }, 'Capture lost a connection.'),
      ...(faults === undefined ? {} : { faults }),
    })
  })
}

function runConnectors({ options, pool, graph, signal }: Wiring): readonly Promise<void>[] {
  const { config, url, log, reportConnector } = options
  const budgets = new BudgetBook()
  const shared = { pool, log, budgets, foreignKeys: pathColumns(graph) }
  return config.connectors.map((connector) =>
    runAsLeader(url, `connector ${connector.name}`, signal, (isLeader) =>
      superviseConnector({
        ...shared,
        connector,
        signal: isLeader,
        ...(reportConnector === undefined ? {} : { report: reportConnector }),
      }),
    ),
  )
}

function statusWriter(
  { pool, options, stages }: Wiring,
  worker: string,
  waiting: ReadonlyMap<string, RunningKafkaStage['waiting']>,
): StageStatusWriter {
  const counted = (name: string) => () => {
    const sum = { handled: 0, computed: 0, written: 0 }
    for (const { counters } of stages.get(name) ?? []) {
      sum.handled += counters.handled
      sum.computed += counters.computed
      sum.written += counters.written
    }
    return sum
  }
  return new StageStatusWriter({
    pool,
    worker,
    log: {
      backlog: (stage) => waiting.get(stage)?.backlog() ?? 0,
      pendingSinceMs: (stage) => waiting.get(stage)?.pendingSinceMs() ?? null,
    },
    stages: [...waiting.keys()].map((name) => ({ name, counters: counted(name) })),
    onError: (error) => options.log.warn({ error: error.message }, 'The status of the stages could not be written.'),
  })
}
