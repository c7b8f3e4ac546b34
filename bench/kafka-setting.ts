/**
 * What the measurements over Kafka share: one broker as Kafka ships it, topics, and a table whose changes are captured by
 * whoever is measured, each from a slot of its own at one and the same place.
 */
import type { Admin } from 'kafkajs'
import { ensureCapture } from '../src/capture/slot.ts'
import { retry, sleep } from '../src/db/backoff.ts'
import { migrate } from '../src/db/migrate.ts'
import type { Pool } from '../src/db/pool.ts'
import { createKafka } from '../src/log/kafka/client.ts'
import { type KafkaSettings, readKafkaSettings } from '../src/log/kafka/settings.ts'
import { type KafkaBroker, startBroker } from '../test/support/kafka/broker.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import { createCaptured } from './measure-capture.ts'

export const TABLE = 'public.captured'
export const PUBLICATION = 'rescore'
/** The slot that stays where everyone begins. */
export const BASE_SLOT = 'bench_kafka_base'
const PARTITIONS = 4
/** What Kafka's own start script gives a broker. */
const AS_SHIPPED = [
  '-Xms1g',
  '-Xmx1g',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
]
const RELEASE_WITHIN_MS = 60_000

export interface KafkaSetting extends AsyncDisposable {
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  readonly admin: Admin
}

export async function openKafka(): Promise<KafkaSetting> {
  const broker = await startBroker({ version: '4.4.0', flags: AS_SHIPPED })
  const settings = readKafkaSettings({ KAFKA_BROKERS: broker.brokers })
  if (settings === null) throw new TypeError('no brokers')
  const admin = createKafka(settings, { role: 'bench', log: { warn: () => undefined } }).admin()
  await admin.connect()
  return {
    broker,
    settings,
    admin,
    [Symbol.asyncDispose]: async () => {
      await admin.disconnect()
      await broker[Symbol.asyncDispose]()
    },
  }
}

export interface CapturedSetting extends KafkaSetting {
  readonly context: BenchContext
  readonly database: BenchDatabase
}

/** A broker, and a database with the captured table and the base slot; nothing has changed since the slot was made. */
export async function openCaptured(context: BenchContext, label: string): Promise<CapturedSetting> {
  await using stack = new AsyncDisposableStack()
  const kafka = stack.use(await openKafka())
  const database = stack.use(await context.createEmpty(label))
  await migrate(database.pool)
  await createCaptured(database)
  await ensureCapture(database.pool, { slot: BASE_SLOT, publication: PUBLICATION, tables: [TABLE], owned: [] })
  const owned = stack.move()
  return { ...kafka, context, database, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

export async function createTopic(admin: Admin, topic: string): Promise<void> {
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }],
  })
}

export async function countRecords(admin: Admin, topic: string): Promise<number> {
  // A topic made a moment ago may have no leader yet.
  const offsets = await retry(() => admin.fetchTopicOffsets(topic), { attempts: 8, isRetriable: () => true })
  return offsets.reduce((sum, { high }) => sum + Number(high), 0)
}

export async function copySlot(pool: Pool, to: string): Promise<void> {
  await pool.query('select pg_copy_logical_replication_slot($1::name, $2::name)', [BASE_SLOT, to])
}

/** Rescore's own note of the slot, as if it had made it. */
export async function adoptSlot(pool: Pool, slot: string): Promise<void> {
  await pool.query(
    `update rescore.capture set slot = $1::text,
       confirmed_lsn = (select confirmed_flush_lsn from pg_replication_slots where slot_name = $1::text)`,
    [slot],
  )
}

/** Once its walsender has ended. @throws when that does not happen within a minute */
export async function dropSlot(pool: Pool, slot: string): Promise<void> {
  const deadline = performance.now() + RELEASE_WITHIN_MS
  for (;;) {
    const { rows } = await pool.query<{ active: boolean }>(
      'select active from pg_replication_slots where slot_name = $1',
      [slot],
    )
    if (rows[0] === undefined) return
    if (!rows[0].active) await pool.query('select pg_drop_replication_slot($1)', [slot])
    else if (performance.now() > deadline) throw new Error(`The slot ${slot} is still in use.`)
    else await sleep(50)
  }
}
