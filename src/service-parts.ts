/**
 * How a process of many parts ends, and what its parts tell.
 * Invariant: all parts have ended before anything they use is closed or given up, and nothing ends silently.
 */
import { hostname } from 'node:os'
import type { Backfill } from './backfill/job.ts'
import { BackfillLane } from './backfill/lane.ts'
import type { BudgetBook } from './connect/budget.ts'
import type { ConnectLog } from './connect/options.ts'
import type { Lease } from './db/lease.ts'
import type { Pool } from './db/pool.ts'
import type { Connector } from './define/index.ts'
import { asError } from './errors.ts'
import type { Graph } from './graph/graph.ts'
import { type KeeperOptions, keepHistory } from './history/keeper.ts'
import type { Clock } from './log/clock.ts'
import type { Lane } from './log/lane.ts'
import type { Report } from './log/stage.ts'
import type { Health } from './observe/health.ts'
import type { Metrics } from './observe/metrics.ts'
import type { RecomputeStage } from './recompute/stage.ts'
import { FeatureTally } from './recompute/tally.ts'
import { isSuperseded } from './superseded.ts'
import { TimerLane } from './timer/lane.ts'
import type { Upcoming } from './timer/upcoming.ts'

export interface RunningPart {
  readonly name: string
  readonly ended: Promise<void>
}

export interface Ending {
  /** Aborted by the first part that fails; ends the others. */
  readonly failure: AbortController
  /** The caller's wish to stop. */
  readonly outer: AbortSignal
  readonly health: Health
  readonly log: ConnectLog
  readonly cleanUp: () => Promise<void>
}

export interface KeptLease {
  /** The lease as a part like the others, which ends once all of these have. */
  until(parts: readonly RunningPart[]): RunningPart
  /** Gives it up. @throws DB_LEASE_HELD when it was lost to another */
  release(): Promise<void>
}

/** Keeps the lease from now on: who is told to end still finishes what is in hand, and nobody else is to do it too. */
export function keepLease(lease: Lease): KeptLease {
  const releasing = new AbortController()
  const ended = lease.keep(releasing.signal)
  // Looked at by whoever waits for the part; it may be lost before.
  ended.catch(() => undefined)
  const release = () => {
    releasing.abort(new Error('Every part has ended.'))
    return ended
  }
  return {
    release,
    until: (parts) => {
      void Promise.allSettled(parts.map((part) => part.ended)).then(() => releasing.abort())
      return { name: 'lease', ended }
    },
  }
}

/** Waits for every part; the first failure aborts the others and is thrown after all have ended. */
export async function finish(parts: readonly RunningPart[], ending: Ending): Promise<void> {
  const { failure, outer, health, log, cleanUp } = ending
  let first: Error | undefined
  await Promise.all(
    parts.map(async ({ name, ended }) => {
      try {
        await ended
        health.set(name, 'ended')
      } catch (thrown) {
        const error = asError(thrown)
        if (outer.aborted || first !== undefined) {
          health.set(name, 'ended')
          // Told to end, most parts say so with the reason they were given.
          if (error !== outer.reason && error !== first) {
            log.warn({ part: name, error: error.message }, 'A part failed while it was ending.')
          }
          return
        }
        first = error
        // Other definitions are deployed: nothing of this process is broken.
        if (isSuperseded(error)) health.set(name, 'ended', `${error.code}: ${error.message}`)
        else health.failed(name, error)
        failure.abort(first)
      }
    }),
  )
  await cleanUp()
  if (first !== undefined) throw first
}

/** Series of the connectors that a process may run, from the start on. */
export function watchConnectors(metrics: Metrics, connectors: readonly Connector[], budgets: BudgetBook): void {
  for (const connector of connectors) {
    metrics.watchStreams(
      connector.name,
      connector.streams.map(({ name }) => name),
    )
    for (const declared of connector.budgets) {
      const budget = budgets.of(connector.credential, declared)
      metrics.watchBudget({
        connector: connector.name,
        budget: declared.key,
        started: () => budget.started,
        left: () => budget.left(),
      })
    }
  }
}

/** The histories kept in shape. */
export function historyPart(options: Pick<KeeperOptions, 'url' | 'pool' | 'rule' | 'signal' | 'log'>): RunningPart {
  return { name: 'history', ended: keepHistory(options) }
}

interface LaneParts {
  readonly pool: Pool
  readonly graph: Graph
  readonly log: ConnectLog
  readonly report: Report
  readonly clock: Clock | undefined
  /** Told by the stage objects of this process. */
  readonly upcoming: Upcoming
  /** Default: host and number of this process. */
  readonly worker?: string | undefined
}

/** What a recompute stage does beside changes: timers first, then backfills. A job that cannot go on is told, and kept. */
export function lanesOf(parts: LaneParts, stage: RecomputeStage): readonly Lane[] {
  const { pool, graph, log, report, clock, upcoming, worker = `${hostname()} ${process.pid}` } = parts
  const onError = ({ message }: Error, { id }: Backfill) =>
    log.warn({ error: message, backfill: String(id) }, 'A backfill has failed.')
  return [
    new TimerLane({ pool, stage, upcoming, report, clock }),
    new BackfillLane({ pool, graph, worker, stage, onError }),
  ]
}

/** Counts for the stage objects of a process, and the part that writes them down. */
export function tallying({
  pool,
  graph,
  signal,
  log,
}: {
  readonly pool: Pool
  readonly graph: Graph
  readonly signal: AbortSignal
  readonly log: ConnectLog
}): { readonly tally: FeatureTally; readonly run: () => RunningPart } {
  const tally = new FeatureTally(graph)
  const onError = ({ message }: Error) => log.warn({ error: message }, 'The counts of features could not be written.')
  return { tally, run: () => ({ name: 'tally', ended: tally.run(pool, signal, onError) }) }
}
