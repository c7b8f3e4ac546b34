/**
 * A connector: pulls records out of a source into source tables. What a user writes is a generator of messages; the
 * runtime (src/connect) lands them.
 *
 * Contract. (1) A `checkpoint` covers every message yielded before it; the runtime writes those records and the
 * checkpoint in one transaction before it pulls again, so a crash at any point repeats reads but never loses or doubles
 * rows. (2) `sync` depends on nothing but its context: clock, network budget and randomness come from there, which is
 * what makes a run repeatable. (3) A state of unknown shape is refused, never restarted from scratch silently.
 */
import type { z } from 'zod'
import type { Table } from './table.ts'

export type CellValue = string | number | bigint | boolean | null | object
export type SourceRow = Readonly<Record<string, CellValue>>

export type Message<S> =
  /** The record as it is now. Written only if it differs from the stored row; absent columns are left as they are. */
  | {
      readonly op: 'upsert'
      readonly table: Table
      readonly row: SourceRow
      /** A column that only grows at the source: a stored row with a greater value is newer and is left as it is. */
      readonly newerBy?: string
    }
  /** The record is gone from the source. `key` holds the key columns. */
  | {
      readonly op: 'delete'
      readonly table: Table
      readonly key: SourceRow
      readonly reason: 'archived' | 'gone' | 'privacy' | 'swept'
    }
  /** The record with key `from` lives on as `into`: the row is removed and the alias kept. */
  | { readonly op: 'merge'; readonly table: Table; readonly from: SourceRow; readonly into: SourceRow }
  /** All rows of `table` that match `scope` are exactly `rows`: others are deleted. For edges and histories. */
  | { readonly op: 'replace'; readonly table: Table; readonly scope: SourceRow; readonly rows: readonly SourceRow[] }
  /**
   * The source listed every key in (after, upTo] and these are all it has: other rows of that range are deleted.
   * For tables whose one key column is a bigint. `after` null: from the lowest key.
   */
  | {
      readonly op: 'sweep'
      readonly table: Table
      readonly after: bigint | null
      readonly upTo: bigint
      readonly present: readonly bigint[]
    }
  /** One record that cannot be landed: kept in rescore.reject with its reason; the run goes on. */
  | {
      readonly op: 'reject'
      readonly table: Table
      readonly key: string | null
      readonly raw: unknown
      readonly code: string
      readonly reason: string
    }
  | { readonly op: 'checkpoint'; readonly state: S; readonly done?: number; readonly total?: number }

export type Priority = 'on-demand' | 'incremental' | 'initial' | 'sweep'

/** A shared allowance of calls: all streams with the same key and credential draw from it. */
export interface Budget {
  readonly key: string
  readonly calls: number
  readonly perMs: number
  /** Calls in flight at once. */
  readonly concurrency: number
}

export interface CallOptions {
  /** Key of the budget to draw from. */
  readonly budget: string
  readonly timeoutMs?: number
}

/** What a call attempt must tell the runtime so that it can decide on waiting and repeating. */
export interface CallResult<T> {
  readonly value: T
  /** From the source's rate headers, if it sent any: the budget adapts. */
  readonly rate?: { readonly limit?: number; readonly remaining?: number; readonly intervalMs?: number }
}

export interface SourceContext {
  /** Milliseconds since 1970. */
  now(): number
  readonly signal: AbortSignal
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  /**
   * One call to the source: waits for the budget by priority, gives up after the timeout, repeats what is worth
   * repeating with backoff, keeps credentials out of every message.
   * `attempt` throws SourceError to say what kind of failure it was.
   */
  call<T>(options: CallOptions, attempt: (signal: AbortSignal) => Promise<CallResult<T>>): Promise<T>
}

export interface SyncContext<S> extends SourceContext {
  /** null: never run before, so load everything. */
  readonly state: S | null
}

export interface Stream<S = unknown> {
  readonly name: string
  /** Source tables this stream fills; created by the runtime where they are missing. */
  readonly tables: readonly Table[]
  readonly state: { readonly version: number; readonly schema: z.ZodType<S> }
  /** Whose calls go first when the budget is short. Default: incremental. */
  readonly priority?: Priority | undefined
  /** Pause between two runs that found nothing to wait for. */
  readonly everyMs: number
  /** One pass: ends when the source has nothing more for now. */
  sync(context: SyncContext<S>): AsyncGenerator<Message<S>, void, void>
}

export interface ConnectorProblem {
  readonly code: string
  readonly message: string
  readonly mend: string
}

export interface Connector {
  readonly name: string
  /** Name of the credential the budgets are counted against, never the secret itself. */
  readonly credential: string
  readonly budgets: readonly Budget[]
  readonly streams: readonly Stream[]
  /**
   * Checks credentials, scopes and configuration against the source; empty when all is well. Runs at start and in doctor.
   * @throws SourceError when the source refuses the credential (auth) or cannot be asked (transient, rate-limited)
   */
  check(context: SourceContext): Promise<readonly ConnectorProblem[]>
}

/** Why an attempt failed; the runtime decides what follows from the kind. */
export type SourceErrorKind =
  /** Wait until `retryAtMs` (or back off), then repeat. */
  | 'rate-limited'
  /** Back off and repeat. */
  | 'transient'
  /** The credential is refused: stop this connector and say so. */
  | 'auth'
  /** The request or the configuration is wrong: stop this connector and say so. */
  | 'config'

export class SourceError extends Error {
  readonly kind: SourceErrorKind
  readonly code: string
  readonly mend: string
  readonly retryAtMs: number | undefined

  constructor(options: {
    kind: SourceErrorKind
    code: string
    message: string
    mend: string
    retryAtMs?: number | undefined
    cause?: unknown
  }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SourceError'
    this.kind = options.kind
    this.code = options.code
    this.mend = options.mend
    this.retryAtMs = options.retryAtMs
  }
}

/** Fixes the types of one stream's state. */
export function defineStream<S>(stream: Stream<S>): Stream<S> {
  return stream
}

export function defineConnector(connector: Connector): Connector {
  return connector
}
