/** What the measurements of capture into Kafka share: a broker, topics, slots at one point, and the end of processes. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Admin } from 'kafkajs'
import { sleep } from '../src/db/backoff.ts'
import type { Pool } from '../src/db/pool.ts'
import { createKafka } from '../src/log/kafka/client.ts'
import { type KafkaSettings, readKafkaSettings } from '../src/log/kafka/settings.ts'
import { type KafkaBroker, startBroker } from '../test/support/kafka/broker.ts'
import type { PublishOrder } from './children/publish.ts'

export const TABLE = 'public.captured'
export const PARTITIONS = 4
const END_MS = 10_000

export interface KafkaSetting extends AsyncDisposable {
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  readonly admin: Admin
  /** A topic of its own for one run; returns its prefix. */
  createTopic(label: string): Promise<string>
}

export async function openKafka(): Promise<KafkaSetting> {
  const broker = await startBroker({ version: '4.4.0' })
  const settings = readKafkaSettings({ KAFKA_BROKERS: broker.brokers })
  if (settings === null) throw new TypeError('no brokers')
  const admin = createKafka(settings, { role: 'bench', log: { warn: () => undefined } }).admin()
  await admin.connect()
  return {
    broker,
    settings,
    admin,
    createTopic: async (prefix) => {
      const topic = `${prefix}.${TABLE}`
      await admin.createTopics({
        waitForLeaders: true,
        topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }],
      })
      return prefix
    },
    [Symbol.asyncDispose]: async () => {
      await admin.disconnect()
      await broker[Symbol.asyncDispose]()
    },
  }
}

/** A slot at the place of another, which stays as it is; and Rescore's own note of it, as if it had made it. */
export async function copySlot(pool: Pool, from: string, to: string): Promise<void> {
  await pool.query('select pg_copy_logical_replication_slot($1::name, $2::name)', [from, to])
  await pool.query(
    `update rescore.capture set slot = $1::text,
       confirmed_lsn = (select confirmed_flush_lsn from pg_replication_slots where slot_name = $1::text)`,
    [to],
  )
}

export async function dropSlot(pool: Pool, slot: string): Promise<void> {
  for (;;) {
    const { rows } = await pool.query<{ active: boolean }>(
      'select active from pg_replication_slots where slot_name = $1',
      [slot],
    )
    if (rows[0] === undefined) return
    if (!rows[0].active) await pool.query('select pg_drop_replication_slot($1)', [slot])
    else await sleep(50)
  }
}

export function startOurs(order: PublishOrder): ChildProcess {
  const file = fileURLToPath(new URL('./children/publish.ts', import.meta.url))
  const child = fork(file, [], {
    stdio: ['ignore', 2, 2, 'ipc'],
    execArgv: ['--disable-warning=TimeoutNegativeWarning'],
  })
  child.send(order)
  return child
}

export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const patience = setTimeout(() => child.kill('SIGKILL'), END_MS)
  await exited
  clearTimeout(patience)
}
