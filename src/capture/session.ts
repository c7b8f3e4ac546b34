/**
 * One replication connection: opened and run by pg-logical-replication through its public plugin type; decoding,
 * acknowledging and back-pressure are ours.
 *
 * Why ours: as shipped (2.5.0) the library confirms one byte too far, its timer confirms what was never processed, its
 * errors inside the socket handler are uncaught, and it cannot pause without being cut off by the server.
 * Invariants: a message is decoded in the tick it arrives; status frames are sent by our timer also while the socket is
 * paused; the flush position in a frame is only ever what `confirmed()` returns. One instance per connection.
 */
import { LogicalReplicationService } from 'pg-logical-replication'
import { type ClientConfig, quoteIdent } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

/** The parts of the driver's connection the library has no words for. */
interface Wire {
  readonly stream: { pause(): void; resume(): void; destroy(error?: Error): void }
  sendCopyFromChunk(chunk: Buffer): void
}

function isWire(value: unknown): value is Wire {
  return (
    typeof value === 'object' &&
    value !== null &&
    'stream' in value &&
    'sendCopyFromChunk' in value &&
    typeof value.sendCopyFromChunk === 'function'
  )
}

/** The library's plugin type: it exports the type only through the method that takes it. */
type Plugin = Parameters<LogicalReplicationService['subscribe']>[0]
type StartClient = Parameters<Plugin['start']>[0]

interface PluginOptions {
  readonly publication: string
  readonly onWire: (wire: Wire) => void
  readonly onMessage: (message: Buffer) => void
}

class ChangePlugin implements Plugin {
  readonly name = 'pgoutput'
  readonly options: PluginOptions

  constructor(options: PluginOptions) {
    this.options = options
  }

  start(client: StartClient, slot: string): Promise<unknown> {
    const wire: unknown = 'connection' in client ? client.connection : undefined
    if (!isWire(wire)) {
      throw new RescoreError({
        code: 'CAPTURE_DRIVER',
        fate: 'stop',
        message: 'The installed pg does not offer the connection that replication needs.',
        mend: 'Install the versions of pg and pg-logical-replication that package-lock.json names.',
      })
    }
    this.options.onWire(wire)
    const publication = `'${this.options.publication.replaceAll("'", "''")}'`
    // 0/0 means: from where the slot was confirmed. Any other start could skip what was never processed.
    return client.query(
      `START_REPLICATION SLOT ${quoteIdent(slot)} LOGICAL 0/0 (proto_version '1', publication_names ${publication}, messages 'true')`,
    )
  }

  parse(message: Buffer): void {
    this.options.onMessage(message)
  }
}

/** 'r' frame: received, flushed and applied are the same LSN, so that only processed work is ever claimed. */
function statusFrame(confirmed: bigint): Buffer {
  const frame = Buffer.alloc(34)
  frame.writeUInt8(0x72, 0)
  for (const at of [1, 9, 17]) frame.writeBigUInt64BE(confirmed, at)
  frame.writeBigInt64BE(BigInt(Date.now() - 946_684_800_000) * 1000n, 25)
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
  readonly statusEveryMs: number
  /** Silence after which the connection counts as dead; 0 switches the watch off. */
  readonly silenceMs: number
  readonly signal: AbortSignal
}

export interface Session {
  pause(): void
  resume(): void
  sendStatus(): void
  /** Settles when the connection ends: resolves on abort, rejects on any failure. */
  readonly ended: Promise<void>
}

export function openSession(options: SessionOptions): Session {
  const { slot, publication, confirmed, signal } = options
  const ended = Promise.withResolvers<void>()
  let wire: Wire | null = null
  let isPaused = false
  let lastHeardMs = Date.now()

  const fail = (error: unknown) => {
    ended.reject(error)
    wire?.stream.destroy()
  }
  const sendStatus = () => wire?.sendCopyFromChunk(statusFrame(confirmed()))

  const plugin = new ChangePlugin({
    publication,
    onWire: (opened) => {
      wire = opened
    },
    onMessage: (message) => {
      lastHeardMs = Date.now()
      // Throwing here would be an uncaught exception inside the driver's socket handler.
      try {
        options.onMessage(message)
      } catch (error) {
        fail(error)
      }
    },
  })
  const service = new LogicalReplicationService(options.connection, { acknowledge: { auto: false, timeoutSeconds: 0 } })
  service.on('error', fail)
  service.on('heartbeat', (walEnd, _timestamp, shouldRespond) => {
    lastHeardMs = Date.now()
    const [high = '0', low = '0'] = walEnd.split('/')
    options.onKeepAlive((BigInt(`0x${high}`) << 32n) | BigInt(`0x${low}`))
    if (shouldRespond) sendStatus()
  })

  const timer = setInterval(() => {
    sendStatus()
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
  }, options.statusEveryMs)
  const onAbort = () => {
    sendStatus()
    ended.resolve()
  }
  signal.addEventListener('abort', onAbort, { once: true })

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
      ended.reject(error)
    }
  }
  const cleanUp = async () => {
    clearInterval(timer)
    signal.removeEventListener('abort', onAbort)
    // A socket that is paused or cut never finishes a polite good-bye.
    setTimeout(() => wire?.stream.destroy(), 500).unref()
    await service.destroy()
  }
  const finished = ended.promise.finally(cleanUp)
  void run()

  return {
    pause: () => {
      isPaused = true
      wire?.stream.pause()
    },
    resume: () => {
      isPaused = false
      lastHeardMs = Date.now()
      wire?.stream.resume()
    },
    sendStatus,
    ended: finished,
  }
}
