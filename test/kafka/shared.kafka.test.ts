/** Source change → features → classification over a real Kafka, with the work shared by several workers. */
import { expect, test } from 'vitest'
import { readStatus } from '../../src/observe/status.ts'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { counted, startWorker } from './shared.ts'

const BOTH = ['recompute', 'score'] as const
const LOAD_MS = 5_000

describeKafka('a shared service', ({ brokers }) => {
  test('workers that come and go under load end with every value right, and hardly anything computed twice', async () => {
    await using database = await createTestDatabase('shared')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
    await using checker = await createChecker()
    await using capture = await startWorker(database, kafka, 'capture', ['capture'])
    await using first = await startWorker(database, kafka, 'first', BOTH)
    await calm(database)
    const load = startLoad(database, 7)
    await using second = await startWorker(database, kafka, 'second', BOTH)
    await using third = await startWorker(database, kafka, 'third', BOTH)
    await using fourth = await startWorker(database, kafka, 'fourth', BOTH)
    await new Promise((resolve) => setTimeout(resolve, LOAD_MS))
    await first[Symbol.asyncDispose]()
    await new Promise((resolve) => setTimeout(resolve, LOAD_MS))
    await load.stop()
    await calm(database)
    const { differences, entities } = await checker.check(database)
    expect(differences).toEqual([])
    expect(entities).toBeGreaterThan(40)
    const { computed, needed } = counted([first, second, third, fourth])
    expect(needed).toBeGreaterThan(0)
    expect(computed / needed).toBeLessThanOrEqual(1.05)
    expect(capture.failures).toEqual([])
    // Each worker writes what it has been given when it next writes its status.
    await eventually(async () => {
      const { partitions } = await readStatus(database.pool)
      expect(new Set(partitions.map(({ owner }) => owner))).toEqual(new Set(['second', 'third', 'fourth']))
      expect(partitions.every(({ lagSeconds }) => lagSeconds !== null)).toBe(true)
    })
  })

  test('what is reflected is in the rows, over both hops, while load runs', async () => {
    await using database = await createTestDatabase('shared')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
    await using checker = await createChecker()
    await using _capture = await startWorker(database, kafka, 'capture', ['capture'])
    await using _first = await startWorker(database, kafka, 'first', BOTH)
    await using _second = await startWorker(database, kafka, 'second', BOTH)
    await calm(database)
    for (let round = 1; round <= 3; round += 1) {
      const load = startLoad(database, round)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      await load.stop()
      // At rest from here: what the position vouches for is true at once, or it was published too early.
      await calm(database)
      expect((await checker.check(database)).differences).toEqual([])
    }
    await eventually(async () => {
      const { stages } = await readStatus(database.pool)
      expect(stages.map(({ stage, sweeping }) => [stage, sweeping])).toEqual([
        ['recompute', false],
        ['score', false],
      ])
    })
  })

  test('a second capture stands by, and takes over when the first ends', async () => {
    await using database = await createTestDatabase('shared')
    await createProject(database.pool)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
    await using checker = await createChecker()
    await using _worker = await startWorker(database, kafka, 'worker', BOTH)
    await using first = await startWorker(database, kafka, 'one', ['capture'])
    await using second = await startWorker(database, kafka, 'two', ['capture'])
    await calm(database)
    const load = startLoad(database, 3)
    await first[Symbol.asyncDispose]()
    await load.stop()
    await calm(database)
    expect((await checker.check(database)).differences).toEqual([])
    expect(second.failures).toEqual([])
  })
})
