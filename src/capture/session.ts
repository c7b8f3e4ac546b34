/**
 * One replication connection: opened and run by pg-logical-replication through its public plugin type; decoding,
 * acknowledging and back-pressure are ours.
 *
 * Why ours: as shipped (2.5.0) the library confirms one byte too far, its timer confirms what was never processed, its
 * errors inside the socket handler are uncaught, and it cannot pause without being cut off by the server.
 * Invariants: a message is handed over in the tick it arrives, and none after one that failed; status frames are sent by
 * our timer also while the socket is paused; the flush position in a frame is only ever what `confirmed()` returns. One
 * instance per connection.
 */
import { LogicalReplicationService } from 'pg-logical-replication'
import { parseLsn } from '../db/lsn.ts'
import type { ClientConfig } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { ChangePlugin, type Wire } from './plugin.ts'
import { POSTGRES_EPOCH_MS } from './reader.ts'

const GOODBYE_MS = 500

/** 'r' frame: received, flushed and applied are the same LSN, so that only processed work is ever claimed. */
function statusFrame(confirmed: bigint, replyRequested: boolean): Buffer {
  const frame = Buffer.alloc(34)
  frame.writeUInt8(0x72, 0)
  for (const at of [1, 9, 17]) frame.writeBigUInt64BE(confirmed, at)
  frame.writeBigInt64BE(BigInt(Date.now() - POSTGRES_EPOCH_MS) * 1000n, 25)
  frame.writeUInt8(replyRequested ? 1 : 0, 33)
  return frame
}

export interface SessionOptions {
  readonly connection: ClientConfig
  readonly slot: string
  readonly publication: string
  /** Called for each message of the stream, in the tick it arrives; may throw, which ends the session. */
  readonly onMessage: (message: Buffer) => void
  /** Called for each keep-alive with the server's end of WAL. */
  readonly onKeepAlive: (walEnd: bigint) => void
  /** What may be confirmed now; 0n before anything was. */
  readonly confirmed: () => bigint
  /** At most this long between two status frames; a third of the server's wal_sender_timeout if that is shorter. */
  readonly statusEveryMs: number
  /** Silence after which the connection counts as dead; 0 switches the watch off. */
  readonly silenceMs: number
  /** A connection that is not made by then is given up. Default 10 s. */
  readonly connectTimeoutMs?: number
  readonly signal: AbortSignal
}

export interface Session {
  pause(): void
  resume(): void
  sendStatus(): void
  /** Ends the connection; `ended` rejects with the error. */
  fail(error: unknown): void
  /** Settles once the connection is gone: resolves on abort, rejects on any failure. */
  readonly ended: Promise<void>
}

export function openSession(options: SessionOptions): Session {
  const { slot, publication, confirmed, signal, connectTimeoutMs = 10_000 } = options
  const ended = Promise.withResolvers<void>()
  let wire: Wire | null = null
  let isOver = false
  let isPaused = false
  let lastHeardMs = Date.now()
  let timer: NodeJS.Timeout | undefined

  const over = (settle: () => void) => {
    isOver = true
    settle()
  }
  const fail = (error: unknown) => over(() => ended.reject(error))
  const send = (replyRequested: boolean) => wire?.sendCopyFromChunk(statusFrame(confirmed(), replyRequested))
  // The reply asked for is what tells a quiet server from a dead connection: by itself an idle one says nothing.
  const beat = () => {
    send(true)
    // A paused socket is silent because we do not listen.
    if (options.silenceMs > 0 && !isPaused && Date.now() - lastHeardMs > options.silenceMs) {
      fail(
        new RescoreError({
          code: 'CAPTURE_SILENT',
          fate: 'retry',
          message: `The replication connection said nothing for ${Math.round(options.silenceMs / 1000)} s.`,
          mend: 'Rescore connects again by itself; if it recurs, look at the network between it and PostgreSQL.',
        }),
      )
    }
  }

  const plugin = new ChangePlugin({
    publication,
    onWire: (opened, senderTimeoutMs) => {
      wire = opened
      if (isOver) return
      timer = setInterval(beat, Math.min(options.statusEveryMs, senderTimeoutMs / 3))
    },
    onMessage: (message) => {
      // The driver goes on with the rest of its buffer; a commit after a lost row must not be believed.
      if (isOver) return
      lastHeardMs = Date.now()
      // Throwing here would be an uncaught exception inside the driver's socket handler.
      try {
        options.onMessage(message)
      } catch (error) {
        fail(error)
      }
    },
  })
  const service = new LogicalReplicationService(
    { ...options.connection, connectionTimeoutMillis: connectTimeoutMs },
    { acknowledge: { auto: false, timeoutSeconds: 0 } },
  )
  service.on('error', fail)
  service.on('heartbeat', (walEnd, _timestamp, shouldRespond) => {
    if (isOver) return
    lastHeardMs = Date.now()
    options.onKeepAlive(parseLsn(walEnd))
    if (shouldRespond) send(false)
  })

  const onAbort = () => {
    send(false)
    over(ended.resolve)
  }
  const run = async () => {
    try {
      await service.subscribe(plugin, slot)
      throw new RescoreError({
        code: 'CAPTURE_ENDED',
        fate: 'retry',
        message: 'The server ended the replication stream.',
        mend: 'Rescore connects again by itself.',
      })
    } catch (error) {
      fail(error)
    }
  }
  const cleanUp = async () => {
    clearInterval(timer)
    signal.removeEventListener('abort', onAbort)
    // A connection that is still being made, or was cut, never finishes a polite good-bye.
    const limit = Promise.withResolvers<void>()
    const goodbye = setTimeout(limit.resolve, GOODBYE_MS)
    await Promise.race([service.destroy(), limit.promise])
    clearTimeout(goodbye)
    wire?.stream.destroy()
  }
  const finished = ended.promise.finally(cleanUp)
  if (signal.aborted) over(ended.resolve)
  else {
    signal.addEventListener('abort', onAbort, { once: true })
    void run()
  }

  return {
    pause: () => {
      isPaused = true
      wire?.stream.pause()
    },
    resume: () => {
      if (!isPaused) return
      isPaused = false
      lastHeardMs = Date.now()
      wire?.stream.resume()
    },
    sendStatus: () => send(false),
    fail,
    ended: finished,
  }
}
