/** What the test and the service in its child process say to each other. */
import type { Part } from '../../src/shared-process.ts'

/** One process of a service shared over the Kafka that the KAFKA_* variables of its environment name. */
export interface SharedOrder {
  readonly parts: readonly Part[]
  readonly owner: string
  readonly sessionTimeoutMs: number
  /** Instead of the usual one. */
  readonly slot?: string | undefined
}

export interface ServiceOrder {
  readonly url: string
  readonly slot: string
  /**
   * The test project on tables of its own, the same with features that change by the second, or the repository's, whose
   * connector reads a portal named by the environment.
   */
  readonly project: 'test' | 'timed' | 'repository'
  /** Left out: the embedded log. */
  readonly shared?: SharedOrder
}

export type ToService =
  /** Dies by SIGKILL at the n-th passing of the point from now on. */
  | { readonly type: 'kill-at'; readonly point: string; readonly passing: number }
  /** Stands still at the next passing of the point until it is let go. */
  | { readonly type: 'hold-at'; readonly point: string }
  | { readonly type: 'let-go'; readonly point: string }
  /** Answered by `counted`. */
  | { readonly type: 'count' }

export type FromService =
  | { readonly type: 'running' }
  | { readonly type: 'held'; readonly point: string }
  /** A failure that is repeated: no end. */
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | ({ readonly type: 'counted' } & Counted)
  /** It ended by itself. */
  | { readonly type: 'ended'; readonly code: string; readonly message: string }

/** Of the recompute stage, since the process began. */
export interface Counted {
  readonly computed: number
  readonly needed: number
}
