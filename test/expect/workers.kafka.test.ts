/** Every kind of rule over a real Kafka, two workers sharing the stages while random load runs. */
import { expect, test } from 'vitest'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { startWorker } from '../kafka/shared.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { expectingConfig } from './setting.ts'

const BOTH = ['recompute', 'score'] as const

describeKafka('expectations of a shared service', ({ brokers }) => {
  test('two workers hold back, put aside and tell exactly what is declared', async () => {
    await using database = await createTestDatabase('expect')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
    await using checker = await createChecker(expectingConfig)
    await using _capture = await startWorker(database, kafka, 'capture', ['capture'], expectingConfig)
    await using _first = await startWorker(database, kafka, 'first', BOTH, expectingConfig)
    await using _second = await startWorker(database, kafka, 'second', BOTH, expectingConfig)
    await calm(database)
    const load = startLoad(database, 11)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    await load.stop()
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
    const { rows } = await database.query('select from rescore.violation')
    expect(rows.length).toBeGreaterThan(0)
  })
})
