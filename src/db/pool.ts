/**
 * The only place that opens connections: pools, transactions, and which database errors are worth repeating.
 *
 * Invariants: values arrive exact (int8 as bigint, numeric and times as PostgreSQL's text); engine sessions run without
 * parallel workers, because a parallel plan changes the last digit of float sums and breaks the cut-off.
 */
import { Socket } from 'node:net'
import pg from 'pg'
import { isRescoreError } from '../errors.ts'

export type Pool = pg.Pool
export type Client = pg.PoolClient
export type ClientConfig = pg.ClientConfig
/** Anything statements can be sent to. */
export interface Queryable {
  query<R extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<R>>
}

const INT8 = 20
const NUMERIC = 1700
/** date, timestamp, timestamptz, interval, and arrays of date and timestamps: as text, microseconds kept. */
const AS_TEXT = new Set([NUMERIC, 1082, 1114, 1184, 1186, 1182, 1115, 1185, 1231])

function getTypeParser(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (oid === INT8) return BigInt
  if (AS_TEXT.has(oid)) return (value) => value
  return pg.types.getTypeParser(oid, format ?? 'text')
}

export const exactTypes: pg.CustomTypesConfig = { getTypeParser }

/** Settings every session starts with. */
const SESSION = [
  'max_parallel_workers_per_gather=0',
  'timezone=UTC',
  'datestyle=ISO',
  'intervalstyle=postgres',
  'jit=off',
]

export interface PoolOptions {
  readonly url: string
  readonly applicationName: string
  readonly max?: number
  readonly statementTimeoutMs?: number
  /**
   * How long a transaction may stand idle, or an answer wait to be taken by a client that does not read, before the server
   * ends its session, and with it its locks. Default: for ever.
   */
  readonly standsStillMs?: number
  /** How long connecting, and each statement, may take as seen from here: the server may be gone. Default: 10 s, and for ever. */
  readonly answerWithinMs?: number
  /** Told of errors of idle connections; the pool itself replaces them. */
  readonly onError?: (error: Error) => void
  /** Cuts its connections when it aborts, also those still being made: what waits for one of them rejects. */
  readonly signal?: AbortSignal
}

function cutBy(signal: AbortSignal): Socket {
  const socket = new Socket()
  const cut = () => void socket.destroy(new Error('The connection was cut by an abort.'))
  if (signal.aborted) setImmediate(cut)
  else signal.addEventListener('abort', cut, { once: true })
  socket.once('close', () => signal.removeEventListener('abort', cut))
  return socket
}

/** Our settings behind those of the URL, whose `options` would otherwise replace them. */
function withSession(url: string, standsStillMs: number): string {
  const parsed = new URL(url)
  const given = parsed.searchParams.get('options') ?? ''
  const limits =
    standsStillMs > 0
      ? [`idle_in_transaction_session_timeout=${standsStillMs}`, `tcp_user_timeout=${standsStillMs}`]
      : []
  const ours = [...SESSION, ...limits].map((setting) => `-c ${setting}`).join(' ')
  parsed.searchParams.set('options', `${given} ${ours}`.trim())
  return parsed.href
}

export function createPool(options: PoolOptions): Pool {
  const {
    url,
    applicationName,
    max = 8,
    statementTimeoutMs = 0,
    standsStillMs = 0,
    answerWithinMs = 0,
    onError = () => undefined,
    signal,
  } = options
  const pool = new pg.Pool({
    connectionString: withSession(url, standsStillMs),
    application_name: applicationName,
    max,
    types: exactTypes,
    connectionTimeoutMillis: answerWithinMs > 0 ? answerWithinMs : 10_000,
    keepAlive: true,
    ...(answerWithinMs > 0 ? { query_timeout: answerWithinMs } : {}),
    ...(statementTimeoutMs > 0 ? { statement_timeout: statementTimeoutMs } : {}),
    ...(signal === undefined ? {} : { stream: () => cutBy(signal) }),
  })
  pool.on('error', onError)
  // The pool listens only to idle clients: one lost while in use would be an uncaught exception, beside its own error.
  pool.on('connect', (client) => client.on('error', onError))
  return pool
}

export interface ClientOptions {
  readonly url: string
  readonly applicationName: string
  /** Not connected yet; for a caller that must be able to cut it. */
  readonly socket?: Socket
  /** Default: as long as the network lets it. */
  readonly connectWithinMs?: number
}

/** A connection of its own, outside any pool: LISTEN and the like. The caller connects and ends it. */
export function createClient({ url, applicationName, socket, connectWithinMs }: ClientOptions): pg.Client {
  return new pg.Client({
    connectionString: url,
    application_name: applicationName,
    types: exactTypes,
    keepAlive: true,
    ...(socket === undefined ? {} : { stream: () => socket }),
    ...(connectWithinMs === undefined ? {} : { connectionTimeoutMillis: connectWithinMs }),
  })
}

/** Connection parameters for a replication connection, which pg-logical-replication opens itself. */
export function parseDatabaseUrl(url: string): ClientConfig {
  return { connectionString: url, keepAlive: true }
}

export interface TransactionOptions {
  readonly isolation?: 'read committed' | 'repeatable read' | 'serializable'
  readonly readOnly?: boolean
}

/** Commits when `work` resolves, rolls back when it rejects; a connection whose rollback fails is thrown away. */
export async function withTransaction<T>(
  pool: Pool,
  options: TransactionOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await pool.connect()
  let broken: Error | undefined
  try {
    await client.query(
      `begin isolation level ${options.isolation ?? 'read committed'}${options.readOnly === true ? ' read only' : ''}`,
    )
    const result = await work(client)
    const { command } = await client.query('commit')
    // A statement that failed and was caught by `work` leaves a transaction that PostgreSQL can only roll back.
    if (command !== 'COMMIT') throw new Error('The transaction was rolled back, because a statement in it had failed.')
    return result
  } catch (error) {
    await client.query('rollback').catch((rollbackError: Error) => {
      broken = rollbackError
    })
    throw error
  } finally {
    client.release(broken)
  }
}

const RETRIABLE_SQLSTATES = new Set([
  '25P03', // idle_in_transaction_session_timeout
  '40001', // serialization_failure
  '40P01', // deadlock_detected
  '55P03', // lock_not_available
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '57014', // query_canceled (statement time-out)
  '08000', // connection_exception
  '08001', // sqlclient_unable_to_establish_sqlconnection
  '08003', // connection_does_not_exist
  '08004', // sqlserver_rejected_establishment_of_sqlconnection
  '08006', // connection_failure
  '08007', // transaction_resolution_unknown
  '53300', // too_many_connections
  '53200', // out_of_memory
  '53100', // disk_full: somebody makes room
])
const RETRIABLE_SYSTEM_CODES = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
])
/** pg reports a lost connection without a code. */
const RETRIABLE_MESSAGES =
  /connection terminated|client has encountered a connection error|timeout exceeded when trying to connect|timeout expired|not queryable/i

export function isRetriableDbError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = sqlState(error)
  if (RETRIABLE_SQLSTATES.has(code) || RETRIABLE_SYSTEM_CODES.has(code)) return true
  return code === '' && RETRIABLE_MESSAGES.test(error.message)
}

/** What the loops that repeat go by: an error of ours says so itself. */
export function isWorthRepeating(error: unknown): boolean {
  return isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
}

/** Of PostgreSQL's own errors; the code of the system for its own, and '' where there is none. */
export function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** A statement that does not wait for locks, or no longer, found one held. */
/** A statement that took longer than it may. */
export function isCanceled(error: unknown): boolean {
  return sqlState(error) === '57014'
}

export function isLockRefused(error: unknown): boolean {
  return sqlState(error) === '55P03'
}

export function quoteIdent(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** `schema.name` quoted part by part; the first dot separates. */
export function quoteTable(id: string): string {
  const dot = id.indexOf('.')
  return `${quoteIdent(id.slice(0, dot))}.${quoteIdent(id.slice(dot + 1))}`
}
