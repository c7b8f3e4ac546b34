/**
 * Stored = recomputed from scratch, whatever is done to the source tables. RESCORE_CHAOS_RUNS sets how many random
 * histories; a failure prints the seed and the path that repeat it.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/pg.ts'
import { changedConfig } from '../support/project-changed.ts'
import { projectConfig } from '../support/project-features.ts'
import { createProject, refillProject } from '../support/project-sql.ts'
import { actions, actionsFrom } from './arbitraries.ts'
import { perform } from './perform.ts'
import { calm, createChecker, type Place, startIn } from './running.ts'

const RUNS = Number(process.env.RESCORE_CHAOS_RUNS ?? 25)
/** A failing history is shrunk until then. */
const LIMIT_MS = 120_000 + RUNS * 5_000

test('any history of the source tables ends in stored values that equal a recompute from scratch, with no work to spare', {
  timeout: LIMIT_MS + 120_000,
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
    expect(needed).toBeGreaterThan(0)
    expect(computed / needed).toBeLessThanOrEqual(1.02)
  })
  await fc.assert(property, { numRuns: RUNS, interruptAfterTimeLimit: LIMIT_MS, markInterruptAsFailure: true })
})

async function performAll(place: Place, seed: number): Promise<void> {
  for (const action of actionsFrom(seed, 40)) {
    // Without a service there is nothing to wait for.
    await perform(place.pool, action, async () => undefined)
  }
}

test('a restart with changed, added, removed and retyped features ends with every value right, and so does the way back', async () => {
  await using database = await createTestDatabase('release')
  await createProject(database.pool)
  const releases = [projectConfig, changedConfig, projectConfig]
  for (const [seed, config] of releases.entries()) {
    await using checker = await createChecker(config)
    {
      await using running = await startIn(database, config, seed === 2)
      await performAll(database, seed + 100)
      const report = await checker.check(database)
      expect(report.differences).toEqual([])
      expect(report.entities).toBeGreaterThan(40)
      expect(running.failures).toEqual([])
    }
    await performAll(database, seed + 200)
  }
})
