/**
 * A database with the test project, a real Kafka Connect worker, and a Debezium connector to be started in it.
 * Invariants: no position may go back (historyFaults tells); disposing ends the worker before the database goes, whose
 * slot it holds.
 */
import { expect } from 'vitest'
import { capturedTables } from '../../src/graph/captured-tables.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { withAdmin } from '../../src/log/kafka/admin.ts'
import { theirTopic } from '../../src/log/kafka/connect-topics.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'
import { applyTopics, reportTopics } from '../../src/log/kafka/topics-admin.ts'
import { watchPositions } from '../chaos/kafka-history.ts'
import { slotOf } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { type ConnectWorker, connectorConfig, createConnect } from '../support/kafka/connect.ts'
import { kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { projectConfig } from '../support/project-features.ts'
import { createProject } from '../support/project-sql.ts'

export const BOTH = ['recompute', 'score'] as const
export const CONFIG = { ...projectConfig, capture: 'debezium' } as const
export const TABLES = capturedTables(compileGraph(CONFIG))
export const client = { log: { warn: () => undefined }, role: 'test' } as const

export interface Setting extends AsyncDisposable {
  readonly database: TestDatabase
  readonly kafka: KafkaSettings
  readonly connect: ConnectWorker
}

export async function setUp(brokers: string): Promise<Setting> {
  await using parts = new AsyncDisposableStack()
  const database = parts.use(await createTestDatabase('theirs'))
  await createProject(database.pool)
  await watchPositions(database.pool)
  const name = `c${crypto.randomUUID().slice(0, 8)}`
  const connect = parts.use(await createConnect({ brokers, name }))
  await connect.start()
  const kafka = kafkaSettings({
    KAFKA_BROKERS: brokers,
    KAFKA_CONNECT_OFFSETS_TOPIC: connect.offsetsTopic,
    KAFKA_CONNECT_CONNECTOR: 'dbz',
    KAFKA_CONNECT_URL: connect.url,
  })
  const kept = parts.move()
  return { database, kafka, connect, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** As `rescore topics --apply`. */
export function makeTopics(kafka: KafkaSettings): Promise<void> {
  return withAdmin(kafka, client, 'making topics', async (admin) =>
    applyTopics(admin, (await reportTopics(admin, kafka, TABLES)).map(theirTopic)),
  )
}

export async function connected({ database, kafka, connect }: Setting): Promise<void> {
  const order = {
    url: database.url,
    database: database.name,
    slot: slotOf(database),
    publication: 'chaos',
    tables: TABLES,
    prefix: kafka.prefix,
  }
  await connect.putConnector('dbz', connectorConfig(order))
  await eventually(async () => expect(await connect.taskState('dbz')).toMatch(/^RUNNING/), { deadlineMs: 60_000 })
}
