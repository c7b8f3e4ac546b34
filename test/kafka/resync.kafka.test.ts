/** The way out when topics have lost changes, and the ways between the embedded log and Kafka, on a real broker. */
import { expect, test } from 'vitest'
import { resync } from '../../src/capture/slot.ts'
import { withAdmin } from '../../src/log/kafka/admin.ts'
import { createKafka, DefaultPartitioner } from '../../src/log/kafka/client.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'
import { topicName } from '../../src/log/kafka/topics.ts'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { startWorker } from './shared.ts'

const ALL = ['capture', 'recompute', 'score'] as const
const client = { log: { warn: () => undefined }, role: 'test' } as const
const EVENTS = 'app.event'

async function loaded(database: TestDatabase, seed: number): Promise<void> {
  const load = startLoad(database, seed)
  await new Promise((resolve) => setTimeout(resolve, 1_000))
  await load.stop()
}

const deleteTopic = (kafka: KafkaSettings, table: string) =>
  withAdmin(kafka, client, 'deleting a topic', (admin) =>
    admin.deleteTopics({ topics: [topicName(kafka.prefix, table)] }),
  )

/** A record with our headers whose position lies beyond all that this database will ever write here. */
async function publishFromTheFuture(kafka: KafkaSettings, table: string): Promise<void> {
  const producer = createKafka(kafka, client).producer({ createPartitioner: DefaultPartitioner })
  await producer.connect()
  try {
    const messages = [0, 1].map((partition) => ({
      partition,
      key: '{"rescore.barrier":"old"}',
      value: null,
      headers: { 'rescore.position': '7fffffff00000000/0', 'rescore.xid': '3', 'rescore.barrier': 'old' },
    }))
    await producer.send({ topic: topicName(kafka.prefix, table), messages })
  } finally {
    await producer.disconnect()
  }
}

describeKafka('over Kafka', ({ brokers, version }) => {
  const newest = version.startsWith('4')

  test('a deleted topic is refused at the start, and a resync mends it', async () => {
    await using database = await createTestDatabase('resync')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
    await using checker = await createChecker()
    {
      await using _all = await startWorker(database, kafka, 'before', ALL)
      await calm(database)
      await loaded(database, 11)
      await calm(database)
    }
    // What is written now is in no topic, and its topic will be gone.
    await loaded(database, 12)
    await deleteTopic(kafka, EVENTS)
    await expect(startWorker(database, kafka, 'refused', ALL)).rejects.toMatchObject({ code: 'LOG_KAFKA_TOPIC_LOST' })
    await resync(database.pool)
    await using after = await startWorker(database, kafka, 'after', ALL)
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
    await loaded(database, 13)
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
    expect(after.failures).toEqual([])
  })

  test.skipIf(!newest)('after a resync, records of the history before pass over nothing of the new one', async () => {
    await using database = await createTestDatabase('history')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
    await using checker = await createChecker()
    {
      await using _all = await startWorker(database, kafka, 'before', ALL)
      await calm(database)
    }
    // As a database that was restored to an earlier time has left them.
    for (const table of ['app.company', 'app.contact', EVENTS]) await publishFromTheFuture(kafka, table)
    await resync(database.pool)
    await using _after = await startWorker(database, kafka, 'after', ALL)
    await calm(database)
    await loaded(database, 14)
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
  })

  test.skipIf(!newest)(
    'the embedded log hands over to Kafka with a backlog, and Kafka does not hand back',
    async () => {
      await using database = await createTestDatabase('switching')
      await createProject(database.pool)
      const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
      await using checker = await createChecker()
      {
        await using _embedded = await startIn(database)
        await calm(database)
      }
      await loaded(database, 15)
      {
        await using shared = await startWorker(database, kafka, 'shared', ALL)
        await calm(database)
        expect((await checker.check(database)).differences).toEqual([])
        expect(shared.failures).toEqual([])
      }
      await expect(startIn(database)).rejects.toMatchObject({ code: 'CAPTURE_SWITCHED' })
      const elsewhere = { ...kafka, prefix: `${kafka.prefix}-other` }
      await expect(startWorker(database, elsewhere, 'elsewhere', ALL)).rejects.toMatchObject({
        code: 'CAPTURE_SWITCHED',
      })
      await resync(database.pool)
      await using _embedded = await startIn(database)
      await calm(database)
      await loaded(database, 16)
      await calm(database)
      expect((await checker.check(database)).differences).toEqual([])
    },
  )

  test.skipIf(!newest)(
    'partitions that were added to a topic that was read are refused, and a resync takes them in',
    async () => {
      await using database = await createTestDatabase('partitions')
      await createProject(database.pool)
      const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
      await using checker = await createChecker()
      {
        await using _all = await startWorker(database, kafka, 'before', ALL)
        await calm(database)
      }
      await withAdmin(kafka, client, 'adding partitions', (admin) =>
        admin.createPartitions({ topicPartitions: [{ topic: topicName(kafka.prefix, EVENTS), count: 3 }] }),
      )
      await expect(startWorker(database, kafka, 'refused', ALL)).rejects.toMatchObject({ code: 'LOG_KAFKA_PARTITIONS' })
      await resync(database.pool)
      await using _after = await startWorker(database, kafka, 'after', ALL)
      await loaded(database, 17)
      await calm(database)
      expect((await checker.check(database)).differences).toEqual([])
    },
  )
})
