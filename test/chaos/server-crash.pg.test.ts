/** PostgreSQL itself crashes under load: the service stays up, finds it again, and nothing is lost or made up. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { startOwnServer } from '../support/own-server.ts'
import { createProject } from '../support/project-sql.ts'
import { startLoad } from './load.ts'
import { createChecker } from './running.ts'
import { startChild } from './service-child.ts'

const CRASHES = 6

test(`PostgreSQL crashes ${CRASHES} times under load while the service stays up`, { timeout: 240_000 }, async () => {
  await using server = await startOwnServer()
  const place = { name: 'server', url: server.url, pool: server.pool }
  await createProject(place.pool)
  await using checker = await createChecker()
  await using service = startChild(place)
  await service.running()
  const moments = fc.sample(fc.integer({ min: 50, max: 1_500 }), { seed: 1, numRuns: CRASHES })
  for (const [index, afterMs] of moments.entries()) {
    const load = startLoad(place, index)
    await sleep(afterMs)
    await server.crash()
    await load.stop()
    const { differences } = await checker.check(place)
    expect(differences, `after crash ${index + 1}`).toEqual([])
  }
})
