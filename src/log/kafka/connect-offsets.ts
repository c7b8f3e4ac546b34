/**
 * How far a Debezium connector is, by the offsets that Kafka Connect keeps of it in a topic.
 *
 * What an offset means: Connect stores the offset of a record only once every record it was handed before, and that one,
 * is acknowledged by Kafka; and `lsn_commit` in it is the end of the last commit that Debezium had passed when it made
 * the record. So everything that was committed before `lsn_commit` is in the topics when the offset can be read. The
 * slot's own confirmed position says less: Debezium confirms what was acknowledged last, and acknowledgements of
 * different partitions may cross.
 *
 * Invariants: what is told only once was stored by Connect; an offset taken in the middle of a snapshot says nothing, and
 * neither does one that was deleted. The topic is read by a group that nobody else is in and that leaves nothing behind,
 * so a crash costs reading it again.
 */
import { randomUUID } from 'node:crypto'
import type { EachMessagePayload, Kafka } from 'kafkajs'
import { aborted, Backoff } from '../../db/backoff.ts'
import { asError, RescoreError } from '../../errors.ts'
import { kafkaError } from './errors.ts'
import type { ConnectSettings } from './settings.ts'

export interface ConnectorOffset {
  readonly connector: string
  /** Everything committed before it is in the topics: the end of a commit. Null: not known. */
  readonly commitLsn: bigint | null
  /** Commit time of the last transaction Debezium saw, milliseconds since 1970; 0: not known. */
  readonly atMs: number
  readonly isDeleted: boolean
}

const COMMIT_LSN = /"lsn_commit":(\d{1,20})[,}]/

function parsed(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'))
  } catch {
    // Another connector's, by a converter of its own: not for us to judge.
    return null
  }
}

/** Pure. Null for what is not of a connector that writes for the prefix. */
export function readConnectorOffset(key: Buffer | null, value: Buffer | null, prefix: string): ConnectorOffset | null {
  const named = key === null ? null : parsed(key)
  if (!Array.isArray(named) || named.length !== 2 || typeof named[0] !== 'string') return null
  const [connector, partition]: [string, unknown] = [named[0], named[1]]
  if (typeof partition !== 'object' || partition === null || !('server' in partition)) return null
  if (partition.server !== prefix) return null
  if (value === null) return { connector, commitLsn: null, atMs: 0, isDeleted: true }
  const nothing = { connector, commitLsn: null, atMs: 0, isDeleted: false }
  const offset = parsed(value)
  if (typeof offset !== 'object' || offset === null || 'snapshot' in offset) return nothing
  // By its digits: as a number it would be rounded beyond 8 PiB of write-ahead log.
  const digits = COMMIT_LSN.exec(value.toString('utf8').replaceAll(/\s/g, ''))?.[1]
  const micros = 'ts_usec' in offset && typeof offset.ts_usec === 'number' ? offset.ts_usec : 0
  return digits === undefined ? nothing : { ...nothing, commitLsn: BigInt(digits), atMs: Math.floor(micros / 1_000) }
}

export interface FollowOptions {
  readonly kafka: Kafka
  readonly prefix: string
  readonly connect: ConnectSettings
  /** The newest of our connector. */
  readonly onOffset: (offset: ConnectorOffset) => void
  /** Told what will be tried again. */
  readonly onError: (error: Error) => void
}

/** Which of them is meant cannot be guessed; while the topic is read from its beginning, one may be deleted further on. */
function ambiguous(prefix: string, names: readonly string[]): RescoreError {
  return new RescoreError({
    code: 'LOG_CONNECT_AMBIGUOUS',
    fate: 'retry',
    message: `Kafka Connect keeps offsets of several connectors that write for the prefix '${prefix}': ${names.join(', ')}.`,
    mend: 'Set KAFKA_CONNECT_CONNECTOR to the name of the one that runs.',
  })
}

/** Reads the topic from its beginning, and on, until the signal aborts. @throws errors of fate `stop` */
export async function followConnectorOffsets(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const backoff = new Backoff({ baseMs: 200, maxMs: 10_000 })
  while (!signal.aborted) {
    try {
      await followOnce(options, signal)
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof RescoreError && error.fate === 'stop') throw error
      options.onError(asError(error))
      // Rejects only when the signal aborts, which the loop's condition sees.
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}

async function followOnce(options: FollowOptions, signal: AbortSignal): Promise<void> {
  const { kafka, prefix, connect, onOffset } = options
  const failure = new AbortController()
  const over = AbortSignal.any([signal, failure.signal])
  const live = new Set<string>()
  const consumer = kafka.consumer({
    groupId: `${prefix}.connect-offsets.${randomUUID()}`,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 250,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8, restartOnFailure: () => Promise.resolve(false) },
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => failure.abort(payload.error))
  const take = async ({ message }: EachMessagePayload) => {
    const offset = readConnectorOffset(message.key, message.value, prefix)
    if (offset === null || (connect.connector !== null && offset.connector !== connect.connector)) return
    if (offset.isDeleted) live.delete(offset.connector)
    const isNew = !offset.isDeleted && !live.has(offset.connector)
    if (isNew) live.add(offset.connector)
    if (live.size <= 1) onOffset(offset)
    else if (isNew) options.onError(ambiguous(prefix, [...live].sort()))
  }
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [connect.offsetsTopic], fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage: take })
    await aborted(over)
    failure.signal.throwIfAborted()
  } catch (error) {
    throw error instanceof RescoreError ? error : kafkaError(error, `reading ${connect.offsetsTopic}`)
  } finally {
    await consumer.disconnect().catch((error: unknown) => options.onError(asError(error)))
  }
}
