/**
 * Runs a connector: every stream in a loop of its own, pass after pass, until the signal aborts.
 *
 * Invariants: a stream pulls again only after what it yielded is committed, so the buffer is bounded by one checkpoint's
 * worth; a pass that fails is repeated from the last committed checkpoint after a backoff; a refused credential or
 * configuration stops the whole connector, because every other stream would fail the same way.
 */
import { Backoff, sleep } from '../db/backoff.ts'
import { isRetriableDbError, type Pool, withTransaction } from '../db/pool.ts'
import type { Connector, Message, SourceContext, SourceError, Stream, SyncContext } from '../define/index.ts'
import { asError, isRescoreError, RescoreError } from '../errors.ts'
import { BudgetBook } from './budget.ts'
import { type CallEnvironment, callSource } from './call.ts'
import { type Checkpoint, type Landable, type Landed, land, type StreamIdentity } from './landing.ts'
import { type ColumnReference, ensureSourceTables } from './source-tables.ts'
import { readState } from './state.ts'

export const MAX_BUFFERED_MESSAGES = 20_000
export const MAX_BUFFERED_BYTES = 64 * 1024 * 1024

export interface ConnectLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** Points where a test may stop the world. */
export interface ConnectFaults {
  beforeLand?(stream: string): void | Promise<void>
  afterLand?(stream: string): void | Promise<void>
}

export type ConnectReport = (event: {
  readonly connector: string
  readonly stream: string
  readonly event: 'landed' | 'pass' | 'failed'
  readonly landed?: Landed
  readonly error?: Error
}) => void

export interface RunConnectorOptions {
  readonly pool: Pool
  readonly connector: Connector
  readonly signal: AbortSignal
  readonly log: ConnectLog
  readonly clock?: { now(): number }
  /** How a call waits between its repeats. Default: real time, full jitter. A test with a clock of its own moves it here. */
  readonly waiting?: Pick<CallEnvironment, 'sleep' | 'random'>
  readonly budgets?: BudgetBook
  readonly report?: ConnectReport
  readonly faults?: ConnectFaults
  /** Columns relations go through; indexed. */
  readonly foreignKeys?: readonly ColumnReference[]
}

/** Shape check: a user's connector may hold a second copy of the module. */
export function isSourceError(error: Error): error is SourceError {
  return error.name === 'SourceError' && 'kind' in error
}

/** Errors that repeating cannot mend. */
function stops(error: Error): boolean {
  if (isRescoreError(error)) return error.fate === 'stop'
  return isSourceError(error) && (error.kind === 'auth' || error.kind === 'config')
}

export function sourceContext(
  options: Omit<RunConnectorOptions, 'pool'>,
  book: BudgetBook,
  stream: string,
  priority: Stream['priority'] = 'incremental',
): SourceContext {
  const { connector, signal, log, clock = Date } = options
  const budgetOf = (key: string) => {
    const budget = connector.budgets.find((candidate) => candidate.key === key)
    if (budget === undefined) throw new TypeError(`Connector '${connector.name}' declares no budget '${key}'.`)
    return book.of(connector.credential, budget)
  }
  const at = { connector: connector.name, stream }
  return {
    now: () => clock.now(),
    signal,
    log: {
      info: (fields, message) => log.info({ ...at, ...fields }, message),
      warn: (fields, message) => log.warn({ ...at, ...fields }, message),
    },
    call: (callOptions, attempt) =>
      callSource(
        {
          budgetOf,
          priority: priority ?? 'incremental',
          signal,
          now: () => clock.now(),
          ...options.waiting,
          onRetry: (error, attempts, delayMs) =>
            log.warn({ ...at, code: error.code, attempts, delayMs: Math.round(delayMs) }, error.message),
        },
        callOptions,
        attempt,
      ),
  }
}

function sizeOf(message: Message<unknown>): number {
  let bytes = 0
  const rows = message.op === 'upsert' ? [message.row] : message.op === 'replace' ? message.rows : []
  for (const row of rows) {
    for (const value of Object.values(row)) bytes += typeof value === 'string' ? value.length : 16
  }
  return bytes
}

function bufferFull(identity: StreamIdentity, messages: number, bytes: number): RescoreError {
  return new RescoreError({
    code: 'CONNECT_NO_CHECKPOINT',
    fate: 'stop',
    message: `Stream ${identity.connector}/${identity.stream} yielded ${messages} messages (${bytes} bytes) without a checkpoint.`,
    mend: `Yield a checkpoint at least every ${MAX_BUFFERED_MESSAGES} messages and ${MAX_BUFFERED_BYTES} bytes.`,
    context: { connector: identity.connector, stream: identity.stream },
  })
}

/** A deadlock between two streams or a lost connection rolls everything back, so the same messages may land again. */
async function landWithRetry(
  options: RunConnectorOptions,
  identity: StreamIdentity,
  messages: readonly Landable[],
  checkpoint: Checkpoint,
): Promise<Landed> {
  const backoff = new Backoff()
  for (;;) {
    try {
      return await land(options.pool, identity, messages, checkpoint)
    } catch (error) {
      if (!isRetriableDbError(error) || backoff.attempts >= 5) throw error
      await backoff.wait(options.signal)
    }
  }
}

/** One pass of one stream; ends when the source has nothing more for now. */
export async function runPass(options: RunConnectorOptions, stream: Stream, book: BudgetBook): Promise<Landed> {
  const { connector, pool, signal } = options
  const identity = { connector: connector.name, stream: stream.name, stateVersion: stream.state.version }
  const state = await readState(pool, connector.name, stream)
  const context: SyncContext<unknown> = { ...sourceContext(options, book, stream.name, stream.priority), state }
  let buffer: Landable[] = []
  let bytes = 0
  let written = 0
  let rejected = 0
  for await (const message of stream.sync(context)) {
    signal.throwIfAborted()
    if (message.op !== 'checkpoint') {
      buffer.push(message)
      bytes += sizeOf(message)
      if (buffer.length > MAX_BUFFERED_MESSAGES || bytes > MAX_BUFFERED_BYTES) {
        throw bufferFull(identity, buffer.length, bytes)
      }
      continue
    }
    await options.faults?.beforeLand?.(stream.name)
    const landed = await landWithRetry(options, identity, buffer, message)
    await options.faults?.afterLand?.(stream.name)
    written += landed.written
    rejected += landed.rejected
    buffer = []
    bytes = 0
    options.report?.({ connector: connector.name, stream: stream.name, event: 'landed', landed })
  }
  return { written, rejected }
}

async function saveStatus(pool: Pool, connector: string, landed: Landed, error: Error | undefined): Promise<void> {
  await pool.query(
    `insert into rescore.stage_status as s (stage, entries, changed, last_error, last_error_at)
     values ($1, $2, $2, $3, case when $3::text is null then null else clock_timestamp() end)
     on conflict (stage, worker) do update set entries = s.entries + excluded.entries, changed = s.changed + excluded.changed,
       last_error = coalesce(excluded.last_error, s.last_error),
       last_error_at = coalesce(excluded.last_error_at, s.last_error_at), updated_at = clock_timestamp()`,
    [`connect:${connector}`, landed.written, error?.message ?? null],
  )
}

async function runStream(options: RunConnectorOptions, stream: Stream, book: BudgetBook): Promise<void> {
  const { connector, pool, signal, log } = options
  const backoff = new Backoff({ baseMs: 500, maxMs: 60_000 })
  const at = { connector: connector.name, stream: stream.name }
  for (;;) {
    try {
      const landed = await runPass(options, stream, book)
      options.report?.({ ...at, event: 'pass', landed })
      if (landed.written > 0) await saveStatus(pool, connector.name, landed, undefined)
      backoff.reset()
      await sleep(stream.everyMs, signal)
    } catch (thrown) {
      if (signal.aborted) return
      const error = asError(thrown)
      options.report?.({ ...at, event: 'failed', error })
      await saveStatus(pool, connector.name, { written: 0, rejected: 0 }, error).catch((statusError: Error) =>
        log.warn({ ...at, error: statusError.message }, 'The status of the connector could not be written.'),
      )
      if (stops(error)) throw error
      log.warn({ ...at, error: error.message }, 'A pass failed; it is repeated from its last checkpoint.')
      await backoff.wait(signal).catch((reason: unknown) => {
        if (!signal.aborted) throw reason
      })
      if (signal.aborted) return
    }
  }
}

/** Schema and tables of all streams, created where missing. */
export async function prepareConnector(options: {
  readonly pool: Pool
  readonly connector: Connector
  readonly foreignKeys?: readonly ColumnReference[]
}): Promise<void> {
  const tables = options.connector.streams.flatMap((stream) => stream.tables)
  await withTransaction(options.pool, {}, (client) => ensureSourceTables(client, tables, options.foreignKeys ?? []))
}

/**
 * Resolves when the signal aborts and every stream has ended.
 * @throws SourceError (auth, config) or RescoreError (fate stop) of the first stream that cannot go on
 */
export async function runConnector(options: RunConnectorOptions): Promise<void> {
  await prepareConnector(options)
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const book = options.budgets ?? new BudgetBook()
  const results = await Promise.allSettled(
    options.connector.streams.map(async (stream) => {
      try {
        await runStream({ ...options, signal }, stream, book)
      } catch (error) {
        failure.abort(error)
        throw error
      }
    }),
  )
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
