/** What a pass writes to, whatever kind of delivery it is. */
import type { BudgetBook } from '../connect/budget.ts'
import { sourceContext } from '../connect/context.ts'
import type { RunConnectorOptions } from '../connect/options.ts'
import type { Resolver } from '../connect/outgoing/guard.ts'
import type { Pool } from '../db/pool.ts'
import { type Delivery, type DeliveryOutcome, type DeliveryRecord, defineConnector } from '../define/index.ts'
import { tableDestination } from './table.ts'
import { webhookDestination } from './webhook.ts'

export interface Destination {
  readonly batchSize: number
  /** Whether it is told that an entity is gone; otherwise there is nothing left to write to. */
  readonly hearsOfGone: boolean
  /** Idempotent; called before the first write, and again after a failure. */
  prepare(): Promise<void>
  /** An outcome for every record. @throws SourceError or RescoreError when none of them could be written */
  write(records: readonly DeliveryRecord[]): Promise<readonly DeliveryOutcome[]>
}

export interface DestinationOptions extends Pick<RunConnectorOptions, 'log' | 'signal' | 'clock' | 'waiting'> {
  readonly pool: Pool
  /** Shared with the connectors: both draw from one allowance. */
  readonly budgets: BudgetBook
  /** For outgoing requests; default: the machine's. */
  readonly resolver?: Resolver
}

export function openDestination(delivery: Delivery, options: DestinationOptions): Destination {
  if (delivery.kind === 'webhook') return webhookDestination(delivery, options)
  if (delivery.kind === 'table') return tableDestination(delivery, options.pool)
  const { name, credential, budgets } = delivery
  const connector = defineConnector({ name, credential, budgets, streams: [] })
  const context = sourceContext({ ...options, connector }, options.budgets, 'deliver', 'write-back')
  return {
    batchSize: delivery.batchSize,
    hearsOfGone: false,
    prepare: () => delivery.prepare(context),
    write: (records) => delivery.write(context, records),
  }
}
