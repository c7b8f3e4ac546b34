/**
 * One process of a service that shares its work over Kafka: the parts it was asked to run, wired and watched.
 *
 * Invariants: everything is brought in line (migrations, source tables, definitions, topics) before the process takes
 * part, and doing it twice or at once does no harm; what there is one of (capture, each connector) runs under a role and
 * waits as a stand-by otherwise; workers keep nothing that PostgreSQL does not have. The first part that cannot go on
 * ends all others, and its error is what the caller gets. Killing the process at any point is safe.
 */
import { hostname } from 'node:os'
import { type Carrier, readCarrier, refuseOtherCarrier, topicsCarrier } from './capture/carrier.ts'
import { assertWatchable } from './capture/watchable.ts'
import { prepareConnector } from './connect/runner.ts'
import { acquireLease } from './db/lease.ts'
import { migrate } from './db/migrate.ts'
import { createPool, type Pool } from './db/pool.ts'
import { prepareDeliveries } from './deliver/prepare.ts'
import { asError } from './errors.ts'
import { capturedTables, filledTables } from './graph/captured-tables.ts'
import { compileGraph } from './graph/compile.ts'
import type { Graph } from './graph/graph.ts'
import { pathColumns } from './graph/path-columns.ts'
import { ensureMonths, readNow } from './history/partitions.ts'
import { ruleOf } from './history/rule.ts'
import { withAdmin } from './log/kafka/admin.ts'
import { beginAtEnds } from './log/kafka/beginning.ts'
import { createKafka } from './log/kafka/client.ts'
import { requireTopics } from './log/kafka/connect-topics.ts'
import type { RunningKafkaStage } from './log/kafka/consume-stage.ts'
import { persevere } from './log/kafka/persevere.ts'
import { whileHeld } from './log/kafka/positions.ts'
import { refuseOtherTopics, watchTopics } from './log/kafka/topic-watch.ts'
import { groupId, topicName } from './log/kafka/topics.ts'
import { ensureTopics } from './log/kafka/topics-admin.ts'
import type { Source } from './log/log.ts'
import { Health } from './observe/health.ts'
import { Metrics } from './observe/metrics.ts'
import type { StageStatusWriter } from './observe/stage-status.ts'
import { createRecomputeStage } from './recompute/stage.ts'
import { loadModels, type ModelSet } from './score/registry.ts'
import { finish, historyPart, keepLease, type RunningPart, tallying } from './service-parts.ts'
import type { AnyStage, SharedProcess, SharedServiceOptions } from './shared-process.ts'
import { runCapture, runConnectors, untilCaptured, watchDebezium } from './shared-roles.ts'
import { isByDebezium, openRecompute, openScore, stageTopics, statusWriter } from './shared-stages.ts'
import { watchDefinitions } from './superseded.ts'

export { PARTS, type Part } from './shared-process.ts'

const STAGES = ['recompute', 'score'] as const

/**
 * A worker that stands still in a transaction holds keys that others wait for, no longer than this: it is out of its
 * group by then. Computing a batch takes seconds.
 */
const STANDS_STILL_MS = 30_000

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

/** @throws RescoreError of fate `stop` when the set-up, the definitions, a model, the database or Kafka is not usable */
export async function startSharedService(options: SharedServiceOptions): Promise<SharedService> {
  const { url, config, log, parts, health = new Health() } = options
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const graph = compileGraph(config)
  const onPoolError = (error: Error) => log.warn({ error: error.message }, 'An idle database connection was lost.')
  const standsStillMs = STANDS_STILL_MS
  const pool = createPool({ url, applicationName: 'rescore', max: 16, standsStillMs, onError: onPoolError })
  let models: ModelSet | null = null
  const close = async () => {
    await Promise.all([models?.[Symbol.asyncDispose](), pool.end()])
  }
  try {
    models = await loadModels(parts.has('score') ? config.models : [], { signal })
    const lease = keepLease(await acquireLease(url, signal, { mode: 'shared' }))
    try {
      const wired = await wire({ ...options, signal, health }, pool, graph, models)
      health.set('lease', 'running')
      health.started()
      const running = [lease.until(wired.running), ...wired.running]
      const done = finish(running, { failure, outer: options.signal, health, log, cleanUp: close })
      return { graph, pool, stages: wired.stages, waiting: wired.waiting, done }
    } catch (error) {
      failure.abort(error)
      await lease.release().catch((lost: Error) => log.warn({ error: lost.message }, 'The lease was lost.'))
      throw error
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function wire(
  options: SharedServiceOptions & { readonly health: Health },
  pool: Pool,
  graph: Graph,
  models: ModelSet,
) {
  const { kafka: settings, signal, log, parts, health, metrics = new Metrics() } = options
  const rule = ruleOf(options.config.history, graph.entities.keys())
  const owner = options.owner ?? `${hostname()} ${process.pid}`
  let status: StageStatusWriter | null = null
  const { tally, run: runTally } = tallying({ pool, graph, signal, log })
  const shared: SharedProcess = {
    options: { ...options, owner },
    pool,
    graph,
    models,
    kafka: createKafka(settings, {
      role: [...parts].join('-'),
      log,
      onMembership: (group, assigned) => noteMembership(shared, group, assigned),
    }),
    carrier: await carrierOf(options),
    signal,
    health,
    metrics,
    tally,
    assigned: new Map(),
    stages: new Map(),
    report: (event) => {
      status?.add(event)
      metrics.stageEvent(event)
      options.report?.(event)
    },
  }
  await prepare(shared)
  const opened = new Map<string, RunningKafkaStage>()
  if (parts.has('recompute')) opened.set('recompute', await openRecompute(shared))
  if (parts.has('score')) opened.set('score', await openScore(shared))
  const waiting = new Map([...opened].map(([name, stage]) => [name, stage.waiting]))
  status = statusWriter(shared, owner, waiting)
  for (const name of opened.keys()) health.set(name, 'starting', 'waits for capture, then for its consumer group')
  health.set('status', 'running')
  health.set('definitions', 'running')
  const scored = parts.has('score') ? models.models : null
  // Before any part runs: what fails here must leave none behind.
  const connecting = parts.has('connect') ? await runConnectors(shared) : []
  const captured = untilCaptured(shared)
  const onTopicsError = (error: Error) => log.warn({ error: error.message }, 'The topics could not be looked at.')
  const running: readonly RunningPart[] = [
    { name: 'status', ended: status.run(signal) },
    { name: 'definitions', ended: watchDefinitions({ pool, graph, models: scored }, signal) },
    ...(parts.has('recompute') ? [runTally(), historyPart({ url: options.url, pool, rule, signal, log })] : []),
    { name: 'topics', ended: watchTopics({ ...watchedTopics(shared), signal, onError: onTopicsError }) },
    ...[...opened].map(([name, stage]) => ({ name, ended: captured.then(() => stage.run()) })),
    ...(isByDebezium(options.config) ? [watchDebezium(shared)] : parts.has('capture') ? [runCapture(shared)] : []),
    ...connecting,
  ]
  return { running, stages: shared.stages, waiting }
}

function noteMembership(
  { options, health, metrics, assigned: known }: SharedProcess,
  group: string,
  assigned: readonly Source[] | null,
): void {
  const stage = STAGES.find((name) => groupId(options.kafka.prefix, name) === group)
  if (stage === undefined) return
  if (assigned === null) known.delete(stage)
  else known.set(stage, assigned)
  metrics.assigned(stage, assigned?.length ?? 0)
  if (assigned === null) health.set(stage, 'starting', 'not in its consumer group')
  else health.set(stage, 'running')
}

/** A step that needs the brokers, repeated while they are away. */
function untilReached<T>(
  { log, signal }: Pick<SharedServiceOptions, 'log' | 'signal'>,
  step: () => Promise<T>,
): Promise<T> {
  const onError = (error: unknown, retryInMs: number) =>
    log.warn(
      { error: asError(error).message, retryInMs: Math.round(retryInMs) },
      'A step of the start failed, and is repeated.',
    )
  return persevere(step, { signal, onError })
}

async function carrierOf(options: SharedServiceOptions): Promise<Carrier> {
  const { config, kafka, log, signal } = options
  const ask = () =>
    withAdmin(kafka, { role: 'start', log, signal }, 'looking for the brokers', (admin) => admin.describeCluster())
  const { clusterId } = await untilReached(options, ask)
  return topicsCarrier(config.capture ?? 'rescore', clusterId, kafka.prefix)
}

/** What is asked about topics beside reading and writing them: for a short time, since it is asked again. */
function watchedTopics({ pool, graph, options }: Pick<SharedProcess, 'pool' | 'graph' | 'options'>) {
  const { kafka: settings } = options
  const kafka = createKafka(settings, { role: 'topics', log: { warn: () => undefined }, patience: 'command' })
  return { pool, kafka, topics: capturedTables(graph).map((table) => topicName(settings.prefix, table)) }
}

async function prepare({ options, pool, graph, kafka, carrier }: SharedProcess): Promise<void> {
  const { config, kafka: settings, log, publication, signal } = options
  await migrate(pool)
  await ensureMonths(pool, await readNow(pool))
  await refuseOtherCarrier(pool, carrier)
  for (const connector of config.connectors) {
    await prepareConnector({ pool, connector, foreignKeys: pathColumns(graph) })
  }
  const watched = { publication: isByDebezium(config) ? null : publication, filled: filledTables(config) }
  await assertWatchable(pool, graph.tables, watched)
  // Capture and scoring need the feature tables whether or not a worker has made them yet.
  const { isRollback } = options
  const recompute = createRecomputeStage({
    graph,
    report: () => undefined,
    strict: false,
    isRollback,
    ...config.backfill,
  })
  await whileHeld(pool, recompute.name, () => recompute.deploy(pool))
  await prepareDeliveries(pool, graph, config.deliver ?? [])
  const { rows } = await pool.query<{ topic: string }>(
    `select distinct topic from rescore.stage_position where topic <> '' and exists (select from rescore.capture)`,
  )
  const read = new Set(rows.map(({ topic }) => topic))
  const tables = capturedTables(graph)
  const client = { role: 'start', log, signal }
  const differences = await untilReached(options, () =>
    isByDebezium(config) ? requireTopics(settings, client, tables, read) : ensureTopics(settings, client, tables, read),
  )
  await untilReached(options, () => refuseOtherTopics(watchedTopics({ pool, graph, options })))
  // Before there is a slot: nothing of what is to be captured is in the topics yet.
  if ((await readCarrier(pool)) === null) {
    await untilReached(options, () => beginAtEnds(pool, kafka, stageTopics(graph, settings.prefix)))
  }
  for (const { spec, differences: found } of differences) {
    log.warn({ topic: spec.name, differences: found }, 'A topic is not as it should be: see `rescore topics`.')
  }
}
