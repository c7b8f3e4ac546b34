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
import { readFound } from './beginning.ts'
import { kafkaError } from './errors.ts'
import type { ConnectSettings } from './settings.ts'

export interface ConnectorOffset {
  readonly connector: string
  /** Everything committed before it is in the topics: the end of a commit. Null: not known. */
  readonly commitLsn: bigint | null
  /** Time of that commit, milliseconds since 1970; 0: not known. */
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
  if (digits === undefined) return nothing
  // Inside a transaction the time is of its commit, which is yet to come.
  const isCommit = 'lsn' in offset && 'lsn_commit' in offset && offset.lsn === offset.lsn_commit
  const micros = isCommit && 'ts_usec' in offset && typeof offset.ts_usec === 'number' ? offset.ts_usec : 0
  return { ...nothing, commitLsn: BigInt(digits), atMs: Math.floor(micros / 1_000) }
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
  const { prefix, connect, onOffset } = options
  const live = new Set<string>()
  await consume(options, signal, ({ message }) => {
    const offset = readConnectorOffset(message.key, message.value, prefix)
    if (offset === null || (connect.connector !== null && offset.connector !== connect.connector)) return
    if (offset.isDeleted) live.delete(offset.connector)
    const isNew = !offset.isDeleted && !live.has(offset.connector)
    if (isNew) live.add(offset.connector)
    if (live.size <= 1) onOffset(offset)
    else if (isNew) options.onError(ambiguous(prefix, [...live].sort()))
  })
}

/** The whole topic and on, until the signal aborts. @throws RescoreError LOG_KAFKA_* */
async function consume(
  { kafka, prefix, connect, onError }: Omit<FollowOptions, 'onOffset'>,
  signal: AbortSignal,
  onMessage: (payload: EachMessagePayload) => void,
): Promise<void> {
  const failure = new AbortController()
  const over = AbortSignal.any([signal, failure.signal])
  const consumer = kafka.consumer({
    groupId: `${prefix}.connect-offsets.${randomUUID()}`,
    allowAutoTopicCreation: false,
    maxWaitTimeInMs: 250,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8, restartOnFailure: () => Promise.resolve(false) },
  })
  consumer.on(consumer.events.CRASH, ({ payload }) => failure.abort(payload.error))
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [connect.offsetsTopic], fromBeginning: true })
    await consumer.run({ autoCommit: false, eachMessage: async (payload) => onMessage(payload) })
    await aborted(over)
    failure.signal.throwIfAborted()
  } catch (error) {
    throw kafkaError(error, `reading ${connect.offsetsTopic}`)
  } finally {
    await consumer.disconnect().catch((error: unknown) => onError(asError(error)))
  }
}

export interface StoredOffset extends ConnectorOffset {
  /** When Connect stored it, milliseconds since 1970. */
  readonly storedAtMs: number
}

/**
 * The newest offset of every connector that writes for the prefix, by the topic as it is now.
 * @param signal when it aborts, what was read until then is the answer @throws RescoreError LOG_KAFKA_*
 */
export async function readConnectorOffsets(
  options: Omit<FollowOptions, 'onOffset'>,
  signal: AbortSignal,
): Promise<readonly StoredOffset[]> {
  const { kafka, prefix, connect } = options
  const [lows, highs] = [
    await readFound(kafka, [connect.offsetsTopic], 'low'),
    await readFound(kafka, [connect.offsetsTopic], 'high'),
  ]
  const first = new Map(lows.map(({ partition, offset = 0n }) => [partition, offset]))
  const left = new Map<number, bigint>()
  for (const { partition, offset = 0n } of highs) if (offset > (first.get(partition) ?? 0n)) left.set(partition, offset)
  const found = new Map<string, StoredOffset>()
  if (left.size === 0) return []
  const done = new AbortController()
  await consume(options, AbortSignal.any([signal, done.signal]), ({ partition, message }) => {
    const offset = readConnectorOffset(message.key, message.value, prefix)
    if (offset?.isDeleted === true) found.delete(offset.connector)
    else if (offset !== null) found.set(offset.connector, { ...offset, storedAtMs: Number(message.timestamp) })
    if (BigInt(message.offset) + 1n >= (left.get(partition) ?? 0n)) left.delete(partition)
    if (left.size === 0) done.abort()
  })
  return [...found.values()].filter(({ connector }) => connect.connector === null || connector === connect.connector)
}
