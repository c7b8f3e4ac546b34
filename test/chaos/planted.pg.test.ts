/**
 * The tests are tested: each bug of src/faults.ts is planted, and must be caught; without it the same is clean. Here are
 * the random histories; the schedules made for one bug each are in planted-schedules.pg.test.ts, and those of processes
 * that share the work in planted-kafka.kafka.test.ts.
 *
 * | bug                     | what goes wrong with it                                       | caught by                     |
 * |-------------------------|---------------------------------------------------------------|-------------------------------|
 * | old-parent-forgotten    | the parent a child has left keeps counting it                 | random histories, verify      |
 * | toast-as-null           | an update passes a filter on a long text it did not touch by  | random histories, verify      |
 * | cut-off-on-wrong-value  | A to B to A: the way back is taken for no change              | random histories, verify      |
 * | history-dropped         | a value moves and its history does not say so                 | random histories, verify      |
 * | readers-forgotten       | a feature moves, what reads it does not                       | random histories, verify      |
 * | confirm-too-early       | changes the stages had not finished are never sent again      | kill while a batch is held    |
 * | keep-alive-always       | the same, by a keep-alive while a batch is in flight          | kill while a batch is held    |
 * | position-before-effects | a position says done, and the effects are lost                | kill between the two          |
 * | visibility-not-checked  | a commit is decoded before it is visible, and read too early  | a commit held by its standby  |
 * | no-version-guard        | a worker that was overtaken puts the older value back         | a worker held before it writes |
 * | reflected-early         | a position vouches for rows that do not show it yet           | read under load (reflected.pg) |
 */
import { expect, test } from 'vitest'
import { type Bug, plant } from '../../src/faults.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { actionsFrom } from './arbitraries.ts'
import { perform } from './perform.ts'
import { calm, createChecker, startIn } from './running.ts'

const HISTORY = 60
const MAX_HISTORIES = 25
const CONTROL_HISTORIES = 5

/** The number of random histories after which something stored was wrong; null: never. */
async function historiesUntilWrong(bug: Bug | null, max: number): Promise<number | null> {
  await using database = await createTestDatabase('planted')
  await createProject(database.pool)
  await using checker = await createChecker()
  using _ = bug === null ? null : plant(bug)
  await using _running = await startIn(database)
  for (let seed = 1; seed <= max; seed += 1) {
    for (const action of actionsFrom(seed, HISTORY)) await perform(database.pool, action, () => calm(database))
    if ((await checker.check(database)).differenceCount > 0) return seed
  }
  return null
}

test.for<Bug>([
  'old-parent-forgotten',
  'toast-as-null',
  'cut-off-on-wrong-value',
  'history-dropped',
  'readers-forgotten',
])('random histories catch %s', async (bug) => {
  expect(await historiesUntilWrong(bug, MAX_HISTORIES)).not.toBeNull()
})

test('without a planted bug the same histories find nothing', async () => {
  expect(await historiesUntilWrong(null, CONTROL_HISTORIES)).toBeNull()
})
