/**
 * The service is killed: between each pair of steps, and at random moments under load. Whatever the moment, after a
 * restart the stored values equal a recompute from scratch. RESCORE_CHAOS_KILLS sets how many random moments.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { startLoad } from './load.ts'
import { calm, createChecker, type Place } from './running.ts'
import { startChild } from './service-child.ts'

const KILLS = Number(process.env.RESCORE_CHAOS_KILLS ?? 50)

/** In a transaction of effects and around it, for each stage; and around what capture does. */
const STEPS = ['before-apply', 'after-apply', 'before-commit', 'after-commit', 'after-acknowledge']
const POINTS = [
  ...['recompute', 'score'].flatMap((stage) => STEPS.map((step) => `${stage}:${step}`)),
  ...['before-append', 'after-append', 'before-confirm', 'after-confirm'],
]
const SWEEP_POINTS = ['recompute', 'score'].flatMap((stage) =>
  ['before', 'after'].flatMap((side) => [1, 2].map((piece) => `${stage}:sweep-${side}-commit@${piece}`)),
)

/** As a release that changes every feature and the model: the next start sweeps everything. */
async function makeAllStale({ pool }: Place): Promise<void> {
  await pool.query(`
    update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition);
    update rescore.classification set model_version = 'of the release before';`)
}

test('killed between any two steps under load, the service catches up after a restart', {
  timeout: 300_000,
}, async () => {
  await using database = await createTestDatabase('steps')
  await createProject(database.pool)
  await using checker = await createChecker()
  for (const [index, point] of POINTS.entries()) {
    await using service = startChild(database)
    await service.running()
    if (index > 0) expect((await checker.check(database)).differences, `after ${POINTS[index - 1]}`).toEqual([])
    const load = startLoad(database, index)
    service.killAt(point, 3)
    expect(await service.ended, point).toEqual({ signal: 'SIGKILL', error: null })
    await load.stop()
  }
  await using last = startChild(database)
  await last.running()
  expect((await checker.check(database)).differences).toEqual([])
})

test('killed while it catches up on stale rows, the service goes on where it was', { timeout: 300_000 }, async () => {
  await using database = await createTestDatabase('sweeps')
  await createProject(database.pool)
  await using checker = await createChecker()
  const startAndCheck = async (after: string) => {
    await using service = startChild(database)
    await service.running()
    const report = await checker.check(database)
    expect(report.differences, after).toEqual([])
    expect(report.classifications).toBeGreaterThan(20)
  }
  await startAndCheck('the first start')
  for (const point of SWEEP_POINTS) {
    await makeAllStale(database)
    {
      await using service = startChild(database, `kill:${point}`)
      expect(await service.ended, point).toEqual({ signal: 'SIGKILL', error: null })
    }
    await startAndCheck(point)
  }
})

test(`killed at ${KILLS} random moments under load, the service ends up right`, {
  timeout: 120_000 + KILLS * 10_000,
}, async () => {
  await using database = await createTestDatabase('moments')
  await createProject(database.pool)
  await using checker = await createChecker()
  // From before it has connected to well into its work.
  const moments = fc.sample(fc.integer({ min: 0, max: 1_400 }), { seed: 1, numRuns: KILLS })
  for (let from = 0; from < KILLS; from += 10) {
    const load = startLoad(database, 1_000 + from)
    for (const afterMs of moments.slice(from, from + 10)) {
      await using service = startChild(database)
      await Promise.race([sleep(afterMs), service.ended])
      service.signal('SIGKILL')
      expect(await service.ended).toEqual({ signal: 'SIGKILL', error: null })
    }
    await load.stop()
    await using service = startChild(database)
    await service.running()
    await calm(database)
    expect((await checker.check(database)).differences, `after ${from + 10} kills`).toEqual([])
  }
})
