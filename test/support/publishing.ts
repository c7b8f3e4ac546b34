/**
 * Capture into Kafka on a real slot and real topics, and a reader of everything in them, for tests.
 * Invariant: disposing ends the connections, so that the database can be dropped; topics are left to the broker's end.
 */
import { type PublishOptions, publishChanges } from '../../src/capture/publishing.ts'
import { ensureCapture } from '../../src/capture/slot.ts'
import { createKafka } from '../../src/log/kafka/client.ts'
import { registerZstd } from '../../src/log/kafka/compress.ts'
import { POSITION_HEADER } from '../../src/log/kafka/envelope.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'
import { topicName } from '../../src/log/kafka/topics.ts'
import { ensureTopics } from '../../src/log/kafka/topics-admin.ts'
import { setupOf } from './capture.ts'
import { kafkaSettings } from './kafka/kafka.ts'
import type { TestDatabase } from './pg.ts'

/** Gives up soon, so that ours are the repeats. */
export const QUIET = { log: { warn: () => undefined }, role: 'test', patience: 'command' } as const

/** The reader's own session outlives a killed broker and holds the group up: as short as brokers allow. */
const PROMPT = { maxWaitTimeInMs: 50, sessionTimeout: 6_000, rebalanceTimeout: 6_000, heartbeatInterval: 1_000 }

export interface ReadRecord {
  readonly topic: string
  readonly partition: number
  readonly key: string | null
  readonly value: Envelope | null
  readonly headers: Readonly<Record<string, string>>
}

export interface Envelope {
  readonly op: string
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
  readonly source: Readonly<Record<string, unknown>>
}

export interface TopicReader extends AsyncDisposable {
  readonly records: readonly ReadRecord[]
}

export interface Publishing extends TopicReader {
  readonly settings: KafkaSettings
  start(options?: Partial<PublishOptions>): RunningPublisher
}

export interface RunningPublisher extends AsyncDisposable {
  readonly done: Promise<void>
  readonly errors: readonly unknown[]
  stop(): Promise<void>
}

const textsOf = (headers: Readonly<Record<string, unknown>> | undefined) =>
  Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]))

/** Follows every record of the tables' topics from their beginning. */
export async function readTopics(settings: KafkaSettings, tables: readonly string[]): Promise<TopicReader> {
  registerZstd()
  const records: ReadRecord[] = []
  const consumer = createKafka(settings, QUIET).consumer({ groupId: `${settings.prefix}.reader`, ...PROMPT })
  await consumer.connect()
  await consumer.subscribe({ topics: tables.map((table) => topicName(settings.prefix, table)), fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      const value: Envelope | null = message.value === null ? null : JSON.parse(message.value.toString())
      records.push({ topic, partition, key: message.key?.toString() ?? null, value, headers: textsOf(message.headers) })
    },
  })
  return { records, [Symbol.asyncDispose]: () => consumer.disconnect() }
}

/** Publication, slot and topics for tables that exist, and a reader that follows every record. */
export async function setUpPublishing(
  db: TestDatabase,
  brokers: string,
  tables: readonly string[],
  prepare: (settings: KafkaSettings) => Promise<void> = async () => undefined,
): Promise<Publishing> {
  const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
  await ensureCapture(db.pool, setupOf(db.name, tables))
  await prepare(settings)
  await ensureTopics(settings, QUIET, tables)
  const reader = await readTopics(settings, tables)
  const running: RunningPublisher[] = []
  return {
    settings,
    records: reader.records,
    start: (options = {}) => {
      const started = startPublishing(db, settings, tables, options)
      running.push(started)
      return started
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(running.map((each) => each.stop()))
      await reader[Symbol.asyncDispose]()
    },
  }
}

function startPublishing(
  db: TestDatabase,
  settings: KafkaSettings,
  tables: readonly string[],
  options: Partial<PublishOptions>,
): RunningPublisher {
  const ending = new AbortController()
  const errors: unknown[] = []
  const done = publishChanges({
    pool: db.pool,
    url: db.url,
    slot: db.name,
    publication: db.name,
    kafka: createKafka(settings, QUIET),
    prefix: settings.prefix,
    tables,
    signal: ending.signal,
    confirmEveryMs: 20,
    statusEveryMs: 50,
    onError: (error) => errors.push(error),
    ...options,
  })
  const ended = done.catch((error: unknown) => void errors.push(error))
  const stop = async () => {
    ending.abort(new Error('The test has ended.'))
    await ended
  }
  return { done, errors, stop, [Symbol.asyncDispose]: stop }
}

/** By key, in the order of its partition; a repeat of a position already seen is a duplicate and left out. */
export function historyByKey(records: readonly ReadRecord[]): Map<string, ReadRecord[]> {
  const seen = new Set<string>()
  const histories = new Map<string, ReadRecord[]>()
  for (const record of records) {
    if (record.key === null) continue
    const identity = `${record.key} ${record.headers[POSITION_HEADER]} ${record.value === null}`
    if (seen.has(identity)) continue
    seen.add(identity)
    histories.set(record.key, [...(histories.get(record.key) ?? []), record])
  }
  return histories
}
