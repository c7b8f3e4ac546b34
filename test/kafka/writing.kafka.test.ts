/** Variables that say how values are written and records packed, from the environment to a reader and to every stored value. */
import { expect, test } from 'vitest'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { readTopics } from '../support/publishing.ts'
import { startWorker } from './shared.ts'

const FOUNDED = '2024-05-06T07:08:09.123456Z'
/** As Debezium writes 12.5: scale and the number without it, as bytes in base64. */
const PRECISE = { scale: 1, value: Buffer.from([125]).toString('base64') }

describeKafka('over Kafka', ({ brokers }) => {
  test.each([
    {
      variables: { KAFKA_COMPRESSION: 'zstd', KAFKA_DECIMAL: 'precise', KAFKA_TIME: 'iso' },
      revenue: PRECISE,
      founded: FOUNDED,
    },
    { variables: { KAFKA_COMPRESSION: 'gzip', KAFKA_DECIMAL: 'double' }, revenue: 12.5, founded: FOUNDED },
  ])('$variables: readers get what was asked for, and every stored value is right', async (asked) => {
    await using database = await createTestDatabase('writing')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2', ...asked.variables })
    await using checker = await createChecker()
    await using _all = await startWorker(database, kafka, 'all', ['capture', 'recompute', 'score'])
    await calm(database)
    await using reader = await readTopics(kafka, ['app.company'])
    await database.query('insert into app.company (id, revenue, founded_at) values (9001, 12.5, $1)', [FOUNDED])
    const load = startLoad(database, 31)
    await eventually(() => {
      const found = reader.records.find(({ value }) => value?.after?.id === 9001)?.value?.after
      expect(found).toMatchObject({ revenue: asked.revenue, founded_at: asked.founded })
    })
    await load.stop()
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
    expect((await database.query('select from rescore.dead_letter')).rows).toEqual([])
  })
})
