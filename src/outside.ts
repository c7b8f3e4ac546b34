/**
 * What a service says to others and hears from them beside its connectors: deliveries out, webhooks in.
 *
 * Invariants: deliveries and the reading of what webhooks told of draw from the connectors' own budgets; of each there is
 * one at work, whatever number of processes share the service, while any of them may listen. Nothing outlives the signal.
 */
import type { BudgetBook } from './connect/budget.ts'
import { startWebhookServer } from './connect/hooks/server.ts'
import { takeEvents } from './connect/hooks/take.ts'
import { runWakes } from './connect/hooks/wakes.ts'
import type { ConnectLog, ConnectReport } from './connect/options.ts'
import { aborted } from './db/backoff.ts'
import type { Pool } from './db/pool.ts'
import type { Connector, ProjectConfig } from './define/index.ts'
import { runDeliveries } from './deliver/run.ts'
import type { Faults } from './faults.ts'
import type { RunningPart } from './service-parts.ts'

export interface OutsideOptions {
  readonly pool: Pool
  readonly config: ProjectConfig
  readonly signal: AbortSignal
  readonly log: ConnectLog
  readonly budgets: BudgetBook
  readonly report?: ConnectReport | undefined
  readonly faults?: Faults | undefined
  /** Runs `work` in one process at a time. Default: this is the only one. */
  readonly asLeader?: (role: string, work: (signal: AbortSignal) => Promise<void>) => Promise<void>
}

/** Deliveries that write to what this connector reads: their events are echoes. */
function destinationsOf({ deliver = [] }: ProjectConfig, { credential }: Connector): readonly string[] {
  return deliver.flatMap((one) => (one.kind === 'connector' && one.credential === credential ? [one.name] : []))
}

async function listen({ pool, config, signal, log }: OutsideOptions): Promise<RunningPart | null> {
  const { webhooks, connectors } = config
  const routes = connectors.flatMap((connector) => {
    const { name, webhooks: receiver } = connector
    // Events name records of a stream by its one key.
    const tableOf = (stream: string) => connector.streams.find((one) => one.name === stream)?.tables[0]
    const destinations = destinationsOf(config, connector)
    if (receiver === undefined) return []
    return [
      {
        connector: name,
        receiver,
        take: (events: Parameters<typeof takeEvents>[3]) => takeEvents(pool, name, destinations, events, tableOf),
      },
    ]
  })
  if (webhooks === undefined || routes.length === 0) return null
  const server = await startWebhookServer({ ...webhooks, routes, log })
  log.info({ port: server.port, paths: routes.map(({ receiver }) => receiver.path) }, 'Webhooks are listened for.')
  return { name: 'webhooks', ended: aborted(signal).then(() => server[Symbol.asyncDispose]()) }
}

/** Parts to run beside the others; `prepareDeliveries` has been called. */
export async function outsideParts(options: OutsideOptions): Promise<readonly RunningPart[]> {
  const { pool, config, log, budgets, report, faults } = options
  const { connectors, deliver: deliveries = [] } = config
  const asLeader = options.asLeader ?? ((_, work) => work(options.signal))
  const listening = await listen(options)
  const shared = { pool, log, budgets, ...(report === undefined ? {} : { report }) }
  const waking = connectors.flatMap((connector) => {
    if (connector.webhooks === undefined) return []
    const name = `webhooks of ${connector.name}`
    return [{ name, ended: asLeader(name, (signal) => runWakes({ ...shared, connector, signal }, budgets)) }]
  })
  const delivering =
    deliveries.length === 0
      ? []
      : [
          {
            name: 'deliver',
            ended: asLeader('deliver', (signal) => runDeliveries({ ...shared, deliveries, signal, faults })),
          },
        ]
  return [...(listening === null ? [] : [listening]), ...waking, ...delivering]
}
