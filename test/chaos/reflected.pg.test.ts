/** The reflected position on the embedded log, under load; over Kafka: test/kafka/reflected.kafka.test.ts. */
import { expect, test } from 'vitest'
import { plant } from '../../src/faults.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { lookWhileLoadRuns } from '../support/reflected.ts'
import { calm, startIn } from './running.ts'

test('the reflected position is never ahead of the rows while load runs', async () => {
  await using database = await createTestDatabase('reflected')
  await createProject(database.pool)
  await using running = await startIn(database)
  await calm(database)
  const { faults, positions } = await lookWhileLoadRuns(database.pool, { positions: 200, isWhole: true })
  expect(faults).toEqual([])
  expect(positions).toBe(200)
  expect(running.failures).toEqual([])
})

test('one that is said before the rows are written is found', async () => {
  await using database = await createTestDatabase('reflected')
  await createProject(database.pool)
  using _bug = plant('reflected-early')
  await using _running = await startIn(database)
  await calm(database)
  expect(
    (await lookWhileLoadRuns(database.pool, { positions: Number.POSITIVE_INFINITY, isWhole: true })).faults,
  ).not.toEqual([])
})
