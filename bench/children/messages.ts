/** What passes between the bench and the processes it starts; structured-cloneable, one type each way. */
import type { Part } from '../../src/shared-process.ts'
import type { MemoryUse } from '../memory-of.ts'
import type { Variant } from '../project/features.ts'
import type { Portal } from '../project/hubspot.ts'

export interface ServiceOrder {
  readonly url: string
  readonly slot: string
  /** The batch recipe's project in a variant, or the repository's own on a simulated portal. */
  readonly project: Variant | Portal
  /** One process of several over Kafka; without it, all of the service on the embedded log. */
  readonly shared?: SharedOrder
}

export interface SharedOrder {
  readonly brokers: string
  readonly prefix: string
  readonly parts: readonly Part[]
}

export interface ServiceCounts {
  readonly batches: number
  readonly entries: number
  readonly sweeps: number
  readonly failed: number
  /** Entities looked at, features computed, feature rows written: committed batches and sweeps alike. */
  readonly entitiesHandled: number
  readonly featuresComputed: number
  /** Over Kafka: those that some worker had to compute; more computed than needed is work done twice. */
  readonly featuresNeeded: number
  readonly featureRowsWritten: number
  readonly classificationsWritten: number
}

export interface ServiceFigures extends MemoryUse {
  /** Processor time of the process since its start, seconds. */
  readonly cpuSeconds: number
  readonly counts: ServiceCounts
}

export type ServiceMessage =
  | { readonly type: 'starting' }
  | { readonly type: 'ready' }
  | { readonly type: 'figures'; readonly figures: ServiceFigures }
  | { readonly type: 'warning'; readonly message: string; readonly fields: object }
  | { readonly type: 'failed'; readonly message: string }

export type ServiceRequest = { readonly type: 'start'; readonly order: ServiceOrder } | { readonly type: 'figures' }

export interface DrainOrder {
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly rows: number
}

export interface DrainResult extends MemoryUse {
  readonly rows: number
  readonly transactions: number
  /** From the first row to the last, and from the start of capture to the last. */
  readonly firstToLastMs: number
  readonly startToLastMs: number
  /** Of capture alone: since just before it was started. */
  readonly cpuSeconds: number
}

export interface PortalOrder {
  readonly companies: number
}

export interface PortalOpened extends Portal {
  readonly records: Readonly<Record<string, number>>
}

export interface DatasetOrder {
  readonly url: string
  /** The list: CSV with `id` and `seen`. */
  readonly file: string
  readonly to: string
  readonly name: string
}

export interface DatasetResult extends MemoryUse {
  readonly rows: number
  readonly features: number
  readonly unknown: number
  readonly ms: number
  readonly cpuSeconds: number
  readonly bytes: number
}
