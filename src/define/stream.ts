/**
 * Level 2 of the connector SDK: a stream in code, a generator of messages.
 *
 * Contract. (1) A `checkpoint` covers every message yielded before it; the runtime writes those records and the
 * checkpoint in one transaction before it pulls again, so a crash at any point repeats reads but never loses or doubles
 * rows. (2) A stream depends on nothing but its context: clock, randomness and network come from there, which is what
 * makes a run repeatable. (3) A state of unknown shape is refused, never restarted from scratch silently.
 */
import type { z } from 'zod'
import type { HttpAnswer, HttpRequest, HttpStream } from './http.ts'
import type { Message, SourceRow } from './message.ts'
import type { Table } from './table.ts'

/** Who goes first when a budget is short, most urgent first. */
export type Priority = 'write-back' | 'on-demand' | 'incremental' | 'initial' | 'backfill' | 'sweep'

/** A shared allowance of calls: all streams, and writing back, with the same key and credential draw from it. */
export interface Budget {
  readonly key: string
  readonly calls: number
  readonly perMs: number
  /** Calls in flight at once. */
  readonly concurrency: number
  /** Of `calls`, kept for `write-back` and `on-demand`; default 0. */
  readonly reserved?: number
}

export interface CallOptions {
  /** Keys of the budgets to draw from, the longest first. */
  readonly budget: string | readonly string[]
  readonly timeoutMs?: number
}

/** What a call attempt must tell the runtime so that it can decide on waiting and repeating. */
export interface CallResult<T> {
  readonly value: T
  /** From the source's rate headers, if it sent any: the budget adapts. */
  readonly rate?: { readonly limit?: number; readonly remaining?: number; readonly intervalMs?: number }
  /** Key of a budget this call did not cost anything of. */
  readonly free?: string
}

export interface SourceContext {
  /** Milliseconds since 1970. */
  now(): number
  /** 0 (inclusive) to 1 (exclusive). */
  random(): number
  readonly signal: AbortSignal
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  /** A secret that is got while running (a new token): from now on it is kept out of everything that is written down. */
  conceal(secret: string): void
  /** One call by the connector's `http` settings. @throws SourceError */
  http(request: HttpRequest): Promise<HttpAnswer>
  /**
   * The same for a body of any size: budget, timeout and repeats hold until the answer begins; after that `timeoutMs` is
   * the longest pause within the body. Not part of a recording. @throws SourceError
   */
  open(request: HttpRequest): Promise<HttpStream>
  /**
   * One call to a source that is not plain HTTP, or through a client library: waits for the budget by priority, gives up
   * after the timeout, repeats what is worth repeating with backoff, keeps credentials out of every message.
   * `attempt` throws SourceError to say what kind of failure it was.
   */
  call<T>(options: CallOptions, attempt: (signal: AbortSignal) => Promise<CallResult<T>>): Promise<T>
}

export interface ConnectorProblem {
  readonly code: string
  readonly message: string
  readonly mend: string
  /** false: worth knowing, but nothing keeps the source from being read. */
  readonly isBlocking?: boolean
}

export interface DueOptions {
  /** A source table, of any connector, and the column whose values are looked up. */
  readonly table: Table
  readonly column: string
  /** Most values answered. */
  readonly limit: number
}

export interface AbsentOptions {
  /** Its one key column is a bigint. */
  readonly table: Table
  /** Exclusive; null: from the lowest key. */
  readonly after: bigint | null
  /** Inclusive; null: to the highest key. */
  readonly upTo: bigint | null
  readonly present: readonly bigint[]
  /** Most keys answered, the lowest first. */
  readonly limit: number
}

export interface OutdatedOptions {
  /** A source table, of any connector. */
  readonly of: Table
  /** The stream's own table, made from it: as many key columns, of the same types, in the same order. */
  readonly copy: Table
  /** Columns of `copy` that repeat a column of `of`: their names in that order. */
  readonly columns: Readonly<Record<string, string>>
  /** Most rows answered. */
  readonly limit: number
}

export interface Outdated {
  /** The key columns of `copy`. */
  readonly key: SourceRow
  /** The repeated columns as they are now, as text, under their names in `copy`; null: the row is gone. */
  readonly row: Readonly<Record<string, string | null>> | null
}

export interface ReadContext extends SourceContext {
  /** What was remembered under these names and committed; names never remembered are not in it. */
  recall(names: readonly string[]): Promise<ReadonlyMap<string, string>>
  /**
   * Distinct values (as text) of a column of the database that this stream has never remembered, or whose `dueMs` has
   * come; the longest due first.
   */
  due(options: DueOptions): Promise<readonly string[]>
  /**
   * Keys of stored rows of a range that are not among `present`, ascending. That a list leaves a record out is a
   * suspicion and no more: read it by id before it is deleted.
   */
  absent(options: AbsentOptions): Promise<readonly bigint[]>
  /** Rows of a source table. */
  size(table: Table): Promise<number>
  /** Rows whose copy is missing, differs or has outlived them. */
  outdated(options: OutdatedOptions): Promise<readonly Outdated[]>
}

export interface SyncContext<S> extends ReadContext {
  /** null: never run before, so load everything. */
  readonly state: S | null
  /** Someone waits for the end of this pass: it ends as soon as the source has nothing more for now. */
  readonly isWaitedFor: boolean
}

export interface StreamState<S> {
  readonly version: number
  readonly schema: z.ZodType<S>
  /**
   * A state written by an earlier version, as this one reads it; undefined refuses it. Whatever it returns must vouch for
   * no more than the old state did.
   */
  migrate?(state: unknown, version: number): S | undefined
}

export interface Stream<S = unknown> {
  readonly name: string
  /** Source tables this stream fills; created by the runtime where they are missing. */
  readonly tables: readonly Table[]
  readonly state: StreamState<S>
  /** Whose calls go first when the budget is short. Default: incremental. */
  readonly priority?: Priority | undefined
  /**
   * What is read is read once: the source gives it up when it is landed. Read by its own run alone, never dry, from the
   * start or since a time.
   */
  readonly isConsuming?: boolean
  /** Pause between two runs that found nothing to wait for. */
  readonly everyMs: number
  /** One pass: ends when the source has nothing more for now. */
  sync(context: SyncContext<S>): AsyncGenerator<Message<S>, void, void>
  /**
   * The records with these keys as they are now, and a delete or merge for each that is not: for webhooks, `rescore sync
   * --ids` and the replay of rejects. Yields no checkpoint.
   */
  read?(context: ReadContext, keys: readonly SourceRow[]): AsyncGenerator<Message<never>, void, void>
  /** As the connector's own check, for what only the stream can know. */
  check?(context: SourceContext): Promise<readonly ConnectorProblem[]>
  /** The state from which a run reads everything modified since then: for `rescore sync --since`. */
  stateSince?(ms: number): S
  /** The state from which a run reads everything: for `rescore sync --full`. Default: none, as if it had never run. */
  stateFull?(): S
}

/** Fixes the types of one stream's state. */
export function defineStream<S>(stream: Stream<S>): Stream<S> {
  return stream
}
