/** What passes between the bench and the processes it starts; structured-cloneable, one type each way. */
import type { MemoryUse } from '../memory-of.ts'
import type { Variant } from '../project/features.ts'
import type { Portal } from '../project/hubspot.ts'

export interface ServiceOrder {
  readonly url: string
  readonly slot: string
  /** The batch recipe's project in a variant, or the repository's own on a simulated portal. */
  readonly project: Variant | Portal
}

export interface ServiceCounts {
  readonly batches: number
  readonly entries: number
  readonly sweeps: number
  readonly failed: number
  /** Entities looked at, features computed, feature rows written: committed batches and sweeps alike. */
  readonly entitiesHandled: number
  readonly featuresComputed: number
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
