/**
 * One pass of one stream: pulls messages, lands them at each checkpoint, ends when the source has nothing more for now.
 *
 * Invariants: the stream pulls again only after what it yielded is committed, so the buffer is bounded by one checkpoint's
 * worth; nothing lands that no checkpoint covers; an abort ends the pass even if the stream does not listen to it. A crash
 * anywhere is repeated from the last committed checkpoint.
 */
import { Backoff } from '../db/backoff.ts'
import { isRetriableDbError } from '../db/pool.ts'
import type { AnyStream, Message, Priority, Stream, SyncContext } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { BudgetBook } from './budget.ts'
import { readContext } from './context.ts'
import { fitMessage, type Misfit } from './fit.ts'
import { type Checkpoint, type Landable, type Landed, land, type StreamIdentity } from './landing.ts'
import type { RunConnectorOptions } from './options.ts'
import { readState } from './state.ts'
import { streamOf } from './streams.ts'

export const MAX_BUFFERED_MESSAGES = 20_000
export const MAX_BUFFERED_BYTES = 64 * 1024 * 1024

function sizeOf(message: Landable): number {
  let bytes = 0
  const rows = message.op === 'upsert' ? [message.row] : message.op === 'replace' ? message.rows : []
  for (const row of rows) {
    for (const value of Object.values(row)) bytes += typeof value === 'string' ? value.length : 16
  }
  return bytes
}

function withoutCheckpoint(identity: StreamIdentity, messages: number, bytes: number): RescoreError {
  return new RescoreError({
    code: 'CONNECT_NO_CHECKPOINT',
    fate: 'stop',
    message: `Stream ${identity.connector}/${identity.stream} yielded ${messages} messages (${bytes} bytes) without a checkpoint.`,
    mend: `Yield a checkpoint after the last message, and at least every ${MAX_BUFFERED_MESSAGES} messages and ${MAX_BUFFERED_BYTES} bytes.`,
    context: { connector: identity.connector, stream: identity.stream },
  })
}

/** A deadlock between two streams or a lost connection rolls everything back, so the same messages may land again. */
async function landWithRetry(
  options: RunConnectorOptions,
  identity: StreamIdentity,
  messages: readonly Landable[],
  checkpoint: Checkpoint,
  dry: boolean,
): Promise<Landed> {
  const backoff = new Backoff()
  for (;;) {
    try {
      return await land(options.pool, identity, messages, checkpoint, { dry })
    } catch (error) {
      if (!isRetriableDbError(error) || backoff.attempts >= 5) throw error
      await backoff.wait(options.signal)
    }
  }
}

/** Pulls from a stream; an abort ends the pull whatever the stream is waiting for. */
class AbortablePull<T> {
  readonly #source: AsyncGenerator<T, void, void>
  readonly #signal: AbortSignal
  #refuse: ((reason: unknown) => void) | undefined
  readonly #onAbort = () => this.#refuse?.(this.#signal.reason)

  constructor(source: AsyncGenerator<T, void, void>, signal: AbortSignal) {
    this.#source = source
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  next(): Promise<IteratorResult<T, void>> {
    return new Promise((resolve, reject) => {
      this.#refuse = reject
      if (this.#signal.aborted) reject(this.#signal.reason)
      else this.#source.next().then(resolve, reject)
    })
  }

  /** A stream that is stuck cannot be waited for; one that is not runs its own `finally`. */
  close(onError: (error: Error) => void): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#source.return().catch(onError)
  }
}

/** Says once per stream and field that values found no column. */
function misfitWarnings(warn: (fields: object, message: string) => void): (misfit: Misfit) => void {
  const told = new Set<string>()
  return ({ table, field, kept, unknown }) => {
    const key = `${table.id}\n${field}`
    if (told.has(key) || (unknown && kept)) return
    told.add(key)
    const what = unknown ? 'is not a column' : 'holds values that do not fit its column'
    warn(
      { table: table.id, field },
      `A field ${what}; ${kept ? 'they are kept in raw' : 'the table declares no raw column to keep it'}.`,
    )
  }
}

export interface PassOptions {
  /** Under which name the checkpoint is kept; default: the stream's. */
  readonly stateName?: string
  /** Nothing is written; the checkpoints move in memory only. */
  readonly dry?: boolean
  /** Instead of the stream's own. */
  readonly priority?: Priority
  /** Instead of the stream's own first state. */
  readonly startState?: unknown
  /** Someone waits for its end. */
  readonly isWaitedFor?: boolean
}

/** One pass of one stream; ends when the source has nothing more for now. */
export async function runPass(
  options: RunConnectorOptions,
  declared: AnyStream,
  book: BudgetBook,
  pass: PassOptions = {},
): Promise<Landed> {
  const { connector, pool, signal } = options
  const stream: Stream = streamOf(declared)
  const stateName = pass.stateName ?? stream.name
  const identity = { connector: connector.name, stream: stream.name, stateName, stateVersion: stream.state.version }
  const stored = await readState(pool, connector.name, stream, stateName)
  const context: SyncContext<unknown> = {
    ...readContext(options, book, stream.name, pass.priority ?? stream.priority),
    state: stored ?? pass.startState ?? null,
    isWaitedFor: pass.isWaitedFor ?? false,
  }
  const onMisfit = misfitWarnings(context.log.warn)
  let buffer: Landable[] = []
  let bytes = 0
  let written = 0
  let rejected = 0
  const pull = new AbortablePull<Message<unknown>>(stream.sync(context), signal)
  try {
    for (let next = await pull.next(); next.done !== true; next = await pull.next()) {
      const message = next.value
      options.faults?.onMessage?.(stream.name)
      if (message.op !== 'checkpoint') {
        const landable = fitMessage(message, onMisfit)
        buffer.push(landable)
        bytes += sizeOf(landable)
        if (buffer.length > MAX_BUFFERED_MESSAGES || bytes > MAX_BUFFERED_BYTES) {
          throw withoutCheckpoint(identity, buffer.length, bytes)
        }
        continue
      }
      await options.faults?.beforeLand?.(stream.name)
      const landed = await landWithRetry(options, identity, buffer, message, pass.dry ?? false)
      await options.faults?.afterLand?.(stream.name)
      written += landed.written
      rejected += landed.rejected
      buffer = []
      bytes = 0
      options.report?.({ connector: connector.name, stream: stream.name, event: 'landed', landed })
    }
  } finally {
    pull.close(({ message }) => context.log.warn({ error: message }, 'The stream failed while it was being ended.'))
  }
  if (buffer.length > 0) throw withoutCheckpoint(identity, buffer.length, bytes)
  return { written, rejected }
}
