/** The service is killed while timers fire beside live load, on the embedded log. RESCORE_CHAOS_KILLS: how often. */
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { timedConfig } from '../support/project-timed.ts'
import { calm, createChecker } from './running.ts'
import { startChild } from './service-child.ts'
import { killWhileTimersFire } from './timer-kills.ts'

const KILLS = Number(process.env.RESCORE_CHAOS_KILLS ?? 20)

test(`killed ${KILLS} times while timers fire under load, the service loses and doubles nothing`, {
  timeout: 120_000 + KILLS * 20_000,
}, async () => {
  await using database = await createTestDatabase('timers')
  await createProject(database.pool)
  await using checker = await createChecker(timedConfig)
  let child = startChild(database, '', { project: 'timed' })
  try {
    await child.running()
    await calm(database)
    await killWhileTimersFire(
      {
        place: database,
        checker,
        victim: () => child,
        replace: async () => {
          child = startChild(database, '', { project: 'timed' })
          await child.running()
        },
        calm: () => calm(database),
      },
      KILLS,
      1,
    )
    expect(child.failures).toEqual([])
  } finally {
    await child[Symbol.asyncDispose]()
  }
})
