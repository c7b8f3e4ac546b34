/**
 * The plugin through which pg-logical-replication opens the stream: it starts replication and hands every message over.
 *
 * Invariants: replication starts at 0/0, which is where the slot was confirmed: any other start could skip what was
 * never processed. The walsender prints values as the sessions of the pool do (UTC, ISO), whatever the database's
 * defaults, because the two are compared as text. A process that stands still keeps the slot for a bounded time, whatever
 * the server's settings say; to end its walsender from outside would not help, since that waits until its last words are
 * read.
 */
import type { LogicalReplicationService } from 'pg-logical-replication'
import { quoteIdent } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

/** The parts of the driver's connection the library has no words for. */
export interface Wire {
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

export interface PluginOptions {
  readonly publication: string
  /** The connection, and after how many milliseconds of our silence the server ends it. */
  readonly onWire: (wire: Wire, senderTimeoutMs: number) => void
  readonly onMessage: (message: Buffer) => void
}

/** After this long without a word of ours the server frees the slot for another. */
const LONGEST_SILENCE_MS = 20_000

export const AS_THE_POOL_PRINTS = [
  "set timezone = 'UTC'",
  "set datestyle = 'ISO'",
  "set intervalstyle = 'postgres'",
  "set bytea_output = 'hex'",
  'set extra_float_digits = 1',
]

export class ChangePlugin implements Plugin {
  readonly name = 'pgoutput'
  readonly options: PluginOptions

  constructor(options: PluginOptions) {
    this.options = options
  }

  async start(client: StartClient, slot: string): Promise<unknown> {
    const wire: unknown = 'connection' in client ? client.connection : undefined
    if (!isWire(wire)) {
      throw new RescoreError({
        code: 'CAPTURE_DRIVER',
        fate: 'stop',
        message: 'The installed pg does not offer the connection that replication needs.',
        mend: 'Install the versions of pg and pg-logical-replication that package-lock.json names.',
      })
    }
    for (const setting of AS_THE_POOL_PRINTS) await client.query(setting)
    const { rows } = await client.query<{ ms: string }>(
      `select setting as ms from pg_settings where name = 'wal_sender_timeout'`,
    )
    const given = Number(rows[0]?.ms ?? 0)
    const silenceMs = given > 0 ? Math.min(given, LONGEST_SILENCE_MS) : LONGEST_SILENCE_MS
    if (silenceMs !== given) await client.query(`set wal_sender_timeout = ${silenceMs}`)
    this.options.onWire(wire, silenceMs)
    const publication = `'${this.options.publication.replaceAll("'", "''")}'`
    return client.query(
      `START_REPLICATION SLOT ${quoteIdent(slot)} LOGICAL 0/0 (proto_version '1', publication_names ${publication}, messages 'true')`,
    )
  }

  parse(message: Buffer): void {
    this.options.onMessage(message)
  }
}
