/** A change too large for its topic, through the whole service: derived values are right, and the mend it names works. */
import { expect, test } from 'vitest'
import { replayUnpublished } from '../../src/capture/unpublished.ts'
import { withAdmin } from '../../src/log/kafka/admin.ts'
import { ConfigResourceTypes } from '../../src/log/kafka/client.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'
import { topicName } from '../../src/log/kafka/topics.ts'
import { examineUnpublished } from '../../src/observe/doctor-unpublished.ts'
import { readStatus } from '../../src/observe/status.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { startWorker } from './shared.ts'

const COMPANIES = 'app.company'

const setLargest = (kafka: KafkaSettings, bytes: number) =>
  withAdmin(kafka, { log: { warn: () => undefined }, role: 'test' }, 'setting a topic', (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: ConfigResourceTypes.TOPIC,
          name: topicName(kafka.prefix, COMPANIES),
          configEntries: [{ name: 'max.message.bytes', value: String(bytes) }],
        },
      ],
    }),
  )

async function lengthOf({ pool }: TestDatabase, key: number): Promise<number | null> {
  const { rows } = await pool.query<{ about_length: bigint | null }>(
    'select about_length from rescore.features_company where key = $1',
    [key],
  )
  return rows[0] === undefined ? null : Number(rows[0].about_length)
}

describeKafka('over Kafka', ({ brokers }) => {
  test('a change too large for its topic is in what is derived, is told of, and is replayed', async () => {
    await using database = await createTestDatabase('large')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
    await using checker = await createChecker()
    await using _all = await startWorker(database, kafka, 'all', ['capture', 'recompute', 'score'])
    await calm(database)
    await setLargest(kafka, 20_000)
    expect(await examineUnpublished(database.pool)).toEqual([])
    await database.query(`update app.company set about = repeat('large', 10000) where id = 1`)
    await database.query(`insert into app.company (id, about) values (9001, repeat('large', 20000))`)
    await database.query(`update app.company set about = repeat('larger', 10000) where id = 1`)
    await calm(database)
    expect([await lengthOf(database, 1), await lengthOf(database, 9001)]).toEqual([60_000, 100_000])
    expect((await checker.check(database)).differences).toEqual([])
    expect((await readStatus(database.pool)).unpublished).toBe(3)
    expect(await examineUnpublished(database.pool)).toMatchObject([
      {
        message: expect.stringMatching(/^3 changes .*app\.company/),
        mend: expect.stringContaining('unpublished replay'),
      },
    ])

    await setLargest(kafka, 1_000_000)
    expect(await replayUnpublished(database.pool)).toEqual({ tried: 3, replayed: 3 })
    await calm(database)
    expect(await examineUnpublished(database.pool)).toEqual([])
    expect((await checker.check(database)).differences).toEqual([])
    expect((await database.query('select from rescore.dead_letter')).rows).toEqual([])
  })
})
