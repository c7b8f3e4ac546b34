/** The reflected position over Kafka, under load; on the embedded log: test/chaos/reflected.pg.test.ts. */
import { expect, test } from 'vitest'
import { plant } from '../../src/faults.ts'
import { calm } from '../chaos/running.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { lookWhileLoadRuns, type Outcome } from '../support/reflected.ts'
import { startWorker } from './shared.ts'

const BOTH = ['recompute', 'score'] as const

async function lookOver(brokers: string, positions: number): Promise<Outcome> {
  await using database = await createTestDatabase('reflected')
  await createProject(database.pool)
  const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
  await using _capture = await startWorker(database, kafka, 'capture', ['capture'])
  await using _first = await startWorker(database, kafka, 'first', BOTH)
  await using _second = await startWorker(database, kafka, 'second', BOTH)
  await calm(database)
  return await lookWhileLoadRuns(database.pool, { positions, isWhole: false })
}

describeKafka('over Kafka, with two workers', ({ brokers }) => {
  test('the reflected position is never ahead of the rows while load runs', async () => {
    const { faults, positions } = await lookOver(brokers, 16)
    expect(faults).toEqual([])
    expect(positions).toBe(16)
  })

  test('one that is taken from the furthest partition is found', async () => {
    using _bug = plant('reflected-early')
    expect((await lookOver(brokers, Number.POSITIVE_INFINITY)).faults).not.toEqual([])
  })
})
