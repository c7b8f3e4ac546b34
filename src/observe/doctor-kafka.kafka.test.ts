/** The doctor of Kafka on real brokers: silent where all is well, and each fault found and told with its mend. */
import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { describeKafka, describeWithJava, kafkaSettings } from '../../test/support/kafka/kafka.ts'
import { startOldBroker } from '../../test/support/kafka/old-broker.ts'
import { withAdmin } from '../log/kafka/admin.ts'
import { ConfigResourceTypes, createKafka, DefaultPartitioner } from '../log/kafka/client.ts'
import type { KafkaSettings } from '../log/kafka/settings.ts'
import { groupId, topicName, topicSpecs } from '../log/kafka/topics.ts'
import { ensureTopics } from '../log/kafka/topics-admin.ts'
import { examineKafka } from './doctor-kafka.ts'

const TABLES = ['public.company']
const client = { log: { warn: () => undefined }, role: 'test' } as const
const { signal } = new AbortController()

const examine = (settings: KafkaSettings, stages: readonly string[] = []) =>
  examineKafka({ settings, tables: TABLES, stages, signal })

async function publish(settings: KafkaSettings, timestamp: number): Promise<void> {
  const producer = createKafka(settings, client).producer({ createPartitioner: DefaultPartitioner })
  await producer.connect()
  try {
    const topic = topicName(settings.prefix, 'public.company')
    await producer.send({ topic, messages: [{ key: '{"id":1}', value: '{}', timestamp: String(timestamp) }] })
  } finally {
    await producer.disconnect()
  }
}

const declaredOf = (settings: KafkaSettings) => topicSpecs(settings, TABLES, 1)[0]?.config ?? {}

/** As declared, but for these. */
const setTopic = (settings: KafkaSettings, config: Readonly<Record<string, string>>) =>
  withAdmin(settings, client, 'setting a topic', (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topicName(settings.prefix, 'public.company'),
          configEntries: Object.entries({ ...declaredOf(settings), ...config }).map(([name, value]) => ({
            name,
            value,
          })),
        },
      ],
    }),
  )

describeKafka('the doctor', ({ brokers }) => {
  test('finds nothing wrong where topics are as declared', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    await ensureTopics(settings, client, TABLES)
    await publish(settings, Date.now())
    expect(await examine(settings)).toEqual([])
  })

  test('tells what is missing, and what mends it', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    expect(await examine(settings, ['recompute'])).toMatchObject([
      { check: 'kafka topics', message: expect.stringContaining('does not exist'), mend: 'rescore topics --apply' },
      { check: 'kafka groups', message: expect.stringContaining(`${settings.prefix}.recompute`) },
    ])
  })

  test('tells of topics that are otherwise than declared, and of writes that no broker can take', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    await ensureTopics(settings, client, TABLES)
    await setTopic(settings, { 'min.insync.replicas': '2' })
    expect(await examine(settings)).toMatchObject([
      { check: 'kafka topics', message: expect.stringContaining('min.insync.replicas 2, not 1') },
      { check: 'kafka copies', message: expect.stringContaining('fewer copies are in sync than a write needs') },
    ])
    await setTopic(settings, { 'min.insync.replicas': '1', 'unclean.leader.election.enable': 'true' })
    expect(await examine(settings)).toMatchObject([{ check: 'kafka copies', mend: expect.stringContaining('unclean') }])
    await setTopic(settings, { 'min.insync.replicas': '1' })
    expect(await examine(settings)).toEqual([])
  })

  test('tells of a retention that is shorter than the longest outage', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_RETENTION_HOURS: '1' })
    await ensureTopics(settings, client, TABLES)
    expect(await examine(settings)).toMatchObject([
      {
        check: 'kafka retention',
        message: expect.stringMatching(/kept for 1\.0 h.*72\.0 h/),
        mend: expect.stringContaining('KAFKA_RETENTION_HOURS'),
      },
    ])
    expect(await examine({ ...settings, longestOutageMs: 1_800_000 })).toEqual([])
  })

  test('tells of records from the future', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    await ensureTopics(settings, client, TABLES)
    await publish(settings, Date.now() + 60_000)
    expect(await examine(settings)).toMatchObject([{ check: 'kafka clock' }])
  })

  test('tells of a group only while it has no member', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    await ensureTopics(settings, client, TABLES)
    const consumer = createKafka(settings, client).consumer({
      groupId: groupId(settings.prefix, 'score'),
      maxWaitTimeInMs: 200,
    })
    await consumer.connect()
    try {
      await consumer.subscribe({ topic: topicName(settings.prefix, 'public.company') })
      await consumer.run({ eachBatch: async () => undefined })
      await eventually(async () => expect(await examine(settings, ['score'])).toEqual([]))
    } finally {
      await consumer.disconnect()
    }
    expect(await examine(settings, ['score'])).toMatchObject([{ check: 'kafka groups' }])
    await withAdmin(settings, client, 'cleaning up', (admin) => admin.deleteGroups([groupId(settings.prefix, 'score')]))
  })
})

describeKafka('a cluster that is not there', () => {
  test('is one problem', async () => {
    expect(await examine(kafkaSettings({ KAFKA_BROKERS: '127.0.0.1:1' }))).toMatchObject([
      { check: 'kafka', mend: expect.stringContaining('KAFKA_BROKERS') },
    ])
  })
})

describeWithJava('a broker too old', () => {
  test('is told by its number, its address and the call it does not speak', async () => {
    await using broker = await startOldBroker()
    const settings = kafkaSettings({ KAFKA_BROKERS: broker.brokers })
    await ensureTopics(settings, client, TABLES)
    const versions = (await examine(settings)).filter(({ check }) => check === 'kafka versions')
    expect(versions).toMatchObject([
      { message: expect.stringMatching(/^Broker 1 \(127\.0\.0\.1:\d+\): Produce is served in versions 0 to 2/) },
    ])
  })
})
