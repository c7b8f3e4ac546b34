/**
 * Stored = recomputed from scratch, whatever is done to the source tables. RESCORE_CHAOS_RUNS sets how many random
 * histories; a failure prints the seed and the path that shrink and repeat it.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/pg.ts'
import { createProject, refillProject } from '../support/project-sql.ts'
import { actions } from './arbitraries.ts'
import { perform } from './perform.ts'
import { calm, createChecker, startIn } from './running.ts'

const RUNS = Number(process.env.RESCORE_CHAOS_RUNS ?? 25)
const MS_PER_RUN = 10_000

test('any history of the source tables ends in stored values that equal a recompute from scratch, with no work to spare', {
  timeout: 120_000 + RUNS * MS_PER_RUN,
}, async () => {
  await using database = await createTestDatabase('convergence')
  await createProject(database.pool)
  await using checker = await createChecker()
  await using running = await startIn(database)
  const { counters } = running.service.recompute
  const property = fc.asyncProperty(fc.array(actions, { minLength: 5, maxLength: 60 }), async (history) => {
    await refillProject(database.pool)
    const before = { ...counters }
    for (const action of history) await perform(database.pool, action, () => calm(database))
    const { differences, entities } = await checker.check(database)
    expect(differences).toEqual([])
    expect(entities).toBeGreaterThan(0)
    expect(running.failures).toEqual([])
    const [computed, needed] = [counters.computed - before.computed, counters.needed - before.needed]
    expect(computed / Math.max(1, needed)).toBeLessThanOrEqual(1.02)
  })
  await fc.assert(property, { numRuns: RUNS, endOnFailure: true })
})
