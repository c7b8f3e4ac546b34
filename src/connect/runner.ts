/**
 * Runs a connector: every stream in a loop of its own, pass after pass, until the signal aborts.
 *
 * Invariants: a pass that fails is repeated from the last committed checkpoint after a backoff; a refused credential or
 * configuration stops the whole connector, because every other stream would fail the same way; no error is kept or
 * thrown on that holds a secret.
 */
import { Backoff, sleep } from '../db/backoff.ts'
import { type Pool, withTransaction } from '../db/pool.ts'
import type { AnyStream, Connector } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import { BudgetBook } from './budget.ts'
import { redactorOf } from './http/redact.ts'
import { createTransport } from './http/transport.ts'
import { isSourceError, type RunConnectorOptions } from './options.ts'
import { runPass } from './pass.ts'
import { type ColumnReference, ensureSourceTables } from './source-tables.ts'
import { saveFailed, savePassed, saveRead } from './status.ts'

const READ_TOLD_EVERY_MS = 10_000

/** Errors that repeating cannot mend. */
function stops(error: Error): boolean {
  if (isRescoreError(error)) return error.fate === 'stop'
  return isSourceError(error) && (error.kind === 'auth' || error.kind === 'config')
}

/** A pass may take hours, or never end by itself: that it goes on is written down, but not with every landing. */
function nowAndThen(tell: () => Promise<void>): () => Promise<void> {
  let toldMs = Number.NEGATIVE_INFINITY
  return async () => {
    if (performance.now() - toldMs < READ_TOLD_EVERY_MS) return
    toldMs = performance.now()
    await tell()
  }
}

async function runStream(options: RunConnectorOptions, stream: AnyStream, book: BudgetBook): Promise<void> {
  const { connector, pool, signal, log } = options
  const backoff = new Backoff({ baseMs: 500, maxMs: 60_000 })
  const at = { connector: connector.name, stream: stream.name }
  for (;;) {
    try {
      const landed = await runPass(options, stream, book, { onLanded: nowAndThen(() => saveRead(pool, at)) })
      options.report?.({ ...at, event: 'pass', landed })
      await savePassed(pool, { ...at, landed, everyMs: stream.everyMs, budgets: book.usage(connector.credential) })
      backoff.reset()
      await sleep(stream.everyMs, signal)
    } catch (thrown) {
      if (signal.aborted) return
      const error = redactorOf(connector).error(asError(thrown))
      options.report?.({ ...at, event: 'failed', error })
      await saveFailed(pool, { ...at, error }).catch((statusError: Error) =>
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
  using own = createTransport({ keepAlive: true })
  const transport = options.transport ?? own
  const results = await Promise.allSettled(
    options.connector.streams.map(async (stream) => {
      try {
        await runStream({ ...options, signal, transport }, stream, book)
      } catch (error) {
        failure.abort(error)
        throw error
      }
    }),
  )
  const failed = results.find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}
