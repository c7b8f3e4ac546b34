/**
 * The running service: connectors, capture, log and stages of one database, wired and watched.
 *
 * Invariants: everything is brought in line (migrations, source tables, feature tables, slot) before the first change is
 * read; the first part that cannot go on ends all others and its error is what the caller gets; nothing outlives the
 * signal. Killing the process at any point is safe: positions, effects and checkpoints are committed together.
 */
import { Capture } from './capture/capture.ts'
import { refuseDebezium } from './capture/debezium.ts'
import { BudgetBook } from './connect/budget.ts'
import type { ConnectFaults, ConnectLog, ConnectReport } from './connect/options.ts'
import { superviseConnector } from './connect/supervise.ts'
import { acquireLease } from './db/lease.ts'
import { createPool, type Pool } from './db/pool.ts'
import type { ProjectConfig } from './define/index.ts'
import { asError } from './errors.ts'
import type { Faults } from './faults.ts'
import { compileGraph } from './graph/compile.ts'
import type { Graph } from './graph/graph.ts'
import { pathColumns } from './graph/path-columns.ts'
import { valueColumns } from './graph/value-columns.ts'
import { ruleOf } from './history/rule.ts'
import type { Clock } from './log/clock.ts'
import { EmbeddedLog } from './log/embedded/embedded-log.ts'
import type { Report } from './log/stage.ts'
import { ensurePosition, readPosition } from './log/stage-position.ts'
import { runStage } from './log/stage-runner.ts'
import { Health } from './observe/health.ts'
import { Metrics } from './observe/metrics.ts'
import { StageStatusWriter } from './observe/stage-status.ts'
import { outsideParts } from './outside.ts'
import { createRecomputeStage, type RecomputeStage } from './recompute/stage.ts'
import { loadModels, type ModelSet } from './score/registry.ts'
import { createScoreStage, type ScoreStage } from './score/stage.ts'
import {
  finish,
  historyPart,
  keepLease,
  lanesOf,
  type RunningPart,
  tallying,
  watchConnectors,
} from './service-parts.ts'
import { prepareService } from './service-prepare.ts'
import { Upcoming } from './timer/upcoming.ts'

export interface ServiceOptions {
  readonly url: string
  readonly config: ProjectConfig
  readonly slot: string
  readonly publication: string
  readonly signal: AbortSignal
  readonly log: ConnectLog
  readonly report?: Report
  readonly reportConnector?: ConnectReport
  /** Reading an undeclared input throws: development and tests. */
  readonly strict?: boolean
  readonly faults?: Faults | undefined
  /** Definitions and models that are older than the deployed ones are meant, and deployed. */
  readonly isRollback?: boolean
  /** Entries a stage takes at once. Default 5,000 for recompute, 1,000 for score. */
  readonly maxEntries?: number
  /** Told how the parts are. */
  readonly health?: Health
  readonly metrics?: Metrics
  /** What time it is, instead of the database's clock: tests drive it. */
  readonly clock?: Clock | undefined
  /** Entries held in memory between capture and stages, bytes. Default 16 MiB. */
  readonly maxLogBytes?: number
}

export interface Service {
  readonly graph: Graph
  /** Of the service; closed when it is done. */
  readonly pool: Pool
  readonly recompute: RecomputeStage
  readonly score: ScoreStage
  /** Resolves when the signal has aborted and every part has ended; rejects with what ended it otherwise. */
  readonly done: Promise<void>
}

/** A machine that stands still in a transaction holds its locks no longer than this; computing a batch takes seconds. */
const STANDS_STILL_MS = 60_000

/** Feature rows of a backlog are mostly of different entities: larger batches save no work, and hold whole rows in memory. */
const SCORE_ENTRIES = 1_000

/**
 * Starts everything; resolves once capture and stages run.
 * @throws RescoreError of fate `stop` when the set-up, the definitions, a model or the database is not usable
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { url, config, log, health = new Health(), metrics = new Metrics() } = options
  refuseDebezium(config)
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const graph = compileGraph(config)
  const onPoolError = (error: Error) => log.warn({ error: error.message }, 'An idle database connection was lost.')
  const pool = createPool({
    url,
    applicationName: 'rescore',
    max: 12,
    standsStillMs: STANDS_STILL_MS,
    onError: onPoolError,
  })
  let models: ModelSet | null = null
  try {
    models = await loadModels(config.models, { signal })
    const lease = keepLease(await acquireLease(url, signal))
    try {
      const parts = await wire({ ...options, signal, metrics }, pool, graph, models)
      const running = [lease.until(parts.running), ...parts.running]
      for (const { name } of running) health.set(name, 'running')
      health.started()
      const cleanUp = async () => {
        await Promise.all([models?.[Symbol.asyncDispose](), pool.end()])
      }
      const done = finish(running, { failure, outer: options.signal, health, log, cleanUp })
      return { graph, pool, recompute: parts.recompute, score: parts.score, done }
    } catch (error) {
      failure.abort(error)
      await lease.release().catch((lost: Error) => log.warn({ error: lost.message }, 'The lease was lost.'))
      throw error
    }
  } catch (error) {
    await Promise.all([models?.[Symbol.asyncDispose](), pool.end()])
    throw error
  }
}

function landingFaults(faults: Faults): ConnectFaults {
  return { beforeLand: () => faults.hit('connect:before-land'), afterLand: () => faults.hit('connect:after-land') }
}

async function wire(
  options: ServiceOptions & { readonly metrics: Metrics },
  pool: Pool,
  graph: Graph,
  models: ModelSet,
) {
  const { url, config, signal, log, strict = false, isRollback, faults, maxEntries, metrics, clock } = options
  const rule = ruleOf(config.history, graph.entities.keys())
  const withFaults = faults === undefined ? {} : { faults }
  let status: StageStatusWriter | null = null
  const report: Report = (event) => {
    status?.add(event)
    metrics.stageEvent(event)
    options.report?.(event)
  }
  const { tally, run: runTally } = tallying({ pool, graph, signal, log })
  const upcoming = new Upcoming()
  const onTimer = upcoming.note
  const recompute = createRecomputeStage({ graph, report, strict, isRollback, tally, onTimer, ...config.backfill })
  const score = createScoreStage({ graph, models, report, isRollback })
  await prepareService(pool, options, graph, [recompute, score])
  // Of all stages before any runs: who waits for the reflected position must not see only some of them.
  for (const stage of [recompute, score]) await ensurePosition(pool, stage.name)
  const positions = new Map([
    [recompute.name, await readPosition(pool, recompute.name)],
    [score.name, await readPosition(pool, score.name)],
  ])
  const { maxLogBytes } = options
  const changes = new EmbeddedLog({
    stages: positions,
    ...(maxLogBytes === undefined ? {} : { maxBytes: maxLogBytes }),
  })
  for (const { name, counters } of [recompute, score]) {
    metrics.watchStage({
      name,
      counters: () => counters,
      backlog: () => changes.backlog(name),
      pendingSinceMs: () => changes.pendingSinceMs(name),
    })
  }
  const onError = (error: Error) => log.warn({ error: error.message }, 'The status of the stages could not be written.')
  status = new StageStatusWriter({
    pool,
    log: changes,
    stages: [recompute, score].map(({ name, counters }) => ({ name, counters: () => ({ ...counters }) })),
    onError,
  })
  const capture = new Capture({
    pool,
    url,
    slot: options.slot,
    publication: options.publication,
    log: changes,
    values: valueColumns(graph),
    signal,
    onError: (error, retryInMs) =>
      log.warn({ error: asError(error).message, retryInMs: Math.round(retryInMs) }, 'Capture lost its connection.'),
    ...withFaults,
  })
  const shared = {
    pool,
    log: changes,
    signal,
    report,
    clock,
    ...withFaults,
    ...(maxEntries === undefined ? {} : { maxEntries }),
  }
  const budgets = new BudgetBook()
  watchConnectors(metrics, config.connectors, budgets)
  const connectors = {
    pool,
    signal,
    log,
    budgets,
    foreignKeys: pathColumns(graph),
    report: (event: Parameters<ConnectReport>[0]) => {
      metrics.connectorEvent(event)
      options.reportConnector?.(event)
    },
    ...(faults === undefined ? {} : { faults: landingFaults(faults) }),
  }
  // Before any part runs: what fails here must leave none behind.
  const outside = await outsideParts({ ...connectors, config, faults })
  const running: readonly RunningPart[] = [
    { name: 'capture', ended: capture.run() },
    {
      name: recompute.name,
      ended: runStage({
        ...shared,
        stage: recompute,
        lanes: lanesOf({ pool, graph, log, report, clock, upcoming }, recompute),
      }),
    },
    {
      name: score.name,
      ended: runStage({ ...shared, stage: score, maxEntries: maxEntries ?? SCORE_ENTRIES }),
    },
    { name: 'status', ended: status.run(signal) },
    runTally(),
    historyPart({ url, pool, rule, signal, log }),
    ...config.connectors.map((connector) => ({
      name: `connector ${connector.name}`,
      ended: superviseConnector({ ...connectors, connector }),
    })),
    ...outside,
  ]
  return { recompute, score, running }
}
