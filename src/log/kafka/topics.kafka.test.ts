/** Topics on real brokers of both versions: what is said, what is done, and what is left alone. */
import { expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { describeKafka, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { withAdmin } from './admin.ts'
import { ConfigResourceTypes } from './client.ts'
import { topicName } from './topics.ts'
import { applyTopics, ensureTopics, reportTopics } from './topics-admin.ts'

const TABLES = ['public.company', 'rescore.features_company']
const client = { log: { warn: () => undefined }, role: 'test', patience: 'command' } as const

describeKafka('topics', ({ brokers }) => {
  const setUp = () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    const company = topicName(settings.prefix, 'public.company')
    return { settings, company }
  }

  test('are missing, are made as declared, and then nothing differs', async () => {
    const { settings, company } = setUp()
    await withAdmin(settings, client, 'a test', async (admin) => {
      const before = await reportTopics(admin, settings, TABLES)
      expect(before.map(({ state, differences }) => [state, differences.map(({ what }) => what)])).toEqual([
        [null, ['topic']],
        [null, ['topic']],
      ])
      await applyTopics(admin, before)
      const after = await reportTopics(admin, settings, TABLES)
      expect(after.flatMap(({ differences }) => differences)).toEqual([])
      expect(after[0]?.state).toMatchObject({ partitions: 4, replication: 1, own: { 'cleanup.policy': 'delete' } })
      // A second one at the same time has looked before the first was done.
      await applyTopics(admin, before)
      expect((await admin.fetchTopicMetadata({ topics: [company] })).topics[0]?.partitions).toHaveLength(4)
    })
  })

  test('that were made otherwise are set right, keep their other settings, and never get partitions', async () => {
    const { settings, company } = setUp()
    await withAdmin(settings, client, 'a test', async (admin) => {
      const config = { 'cleanup.policy': 'compact', 'retention.ms': '60000', 'segment.ms': '123456' }
      await admin.createTopics({
        topics: [
          {
            topic: company,
            numPartitions: 2,
            replicationFactor: 1,
            configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
          },
        ],
      })
      const before = await reportTopics(admin, settings, ['public.company'])
      expect(before[0]?.differences.map(({ what, is, canApply }) => [what, is, canApply])).toEqual([
        ['partitions', '2', false],
        ['cleanup.policy', 'compact', true],
        ['retention.ms', '60000', true],
        ['max.message.bytes', '1048588', true],
      ])
      await applyTopics(admin, before)
      await eventually(async () => {
        const [after] = await reportTopics(admin, settings, ['public.company'])
        expect(after?.differences.map(({ what }) => what)).toEqual(['partitions'])
        expect(after?.state?.own).toMatchObject({ 'segment.ms': '123456', 'cleanup.policy': 'delete' })
      })
    })
  })

  test('a start makes what is missing and says what differs', async () => {
    const { settings, company } = setUp()
    expect(await ensureTopics(settings, client, TABLES)).toEqual([])
    const four = { ...settings, partitions: 6 }
    const said = await ensureTopics(four, client, TABLES, new Set([company]))
    expect(said.flatMap(({ differences }) => differences.map(({ what }) => what))).toEqual(['partitions', 'partitions'])
  })

  test('a start refuses a topic that was read and is gone, and one that Kafka compacts', async () => {
    const { settings, company } = setUp()
    await expect(ensureTopics(settings, client, TABLES, new Set([company]))).rejects.toMatchObject({
      code: 'LOG_KAFKA_TOPIC_LOST',
      fate: 'stop',
    })
    await ensureTopics(settings, client, TABLES)
    await withAdmin(settings, client, 'a test', (admin) =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          {
            type: ConfigResourceTypes.TOPIC,
            name: company,
            configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
          },
        ],
      }),
    )
    await eventually(() =>
      expect(ensureTopics(settings, client, TABLES)).rejects.toMatchObject({ code: 'LOG_KAFKA_COMPACTED' }),
    )
  })

  test('a refusal of the broker names topic and reason', async () => {
    const settings = { ...setUp().settings, replication: 3 }
    await withAdmin(settings, client, 'a test', async (admin) => {
      const reports = await reportTopics(admin, settings, ['public.company'])
      await expect(applyTopics(admin, reports)).rejects.toMatchObject({
        code: 'LOG_KAFKA_REFUSED',
        message: expect.stringMatching(/creating topic t\w+\.public\.company.*INVALID_REPLICATION_FACTOR/),
      })
    })
  })
})
