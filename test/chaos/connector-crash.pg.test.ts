/**
 * The service is killed around the landing of records, while the connector loads a portal and while it follows one:
 * records and checkpoint are one transaction, so after a restart the source tables equal the portal and everything
 * derived equals a recompute from scratch.
 */
import { expect, test } from 'vitest'
import config from '../../rescore.config.ts'
import { randomFrom, seedPortal, startSimulator } from '../simulator/index.ts'
import { liveEdit } from '../simulator/live-edits.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createChecker, type Place } from './running.ts'
import { startConnectedChild } from './service-child.ts'

const LOADING = ['connect:before-land@1', 'connect:after-land@1', 'connect:before-land@3', 'connect:after-land@4']
const FOLLOWING = ['connect:before-land', 'connect:after-land']

async function companiesIn({ pool }: Place): Promise<ReadonlyMap<string, string | null>> {
  const { rows } = await pool.query<{ id: string; employees: string | null }>(
    'select id::text, numberofemployees::text as employees from hubspot.companies order by companies.id',
  )
  return new Map(rows.map(({ id, employees }) => [id, employees]))
}

test('killed before and after records land, the connector goes on from its checkpoint', {
  timeout: 240_000,
}, async () => {
  const portal = seedPortal({ seed: 1, companies: 60, indexLag: 0 })
  await using simulator = await startSimulator({ portal, rateLimits: false })
  await using database = await createTestDatabase('landing')
  await using checker = await createChecker({ ...config, connectors: [] })
  const isLoaded = () =>
    eventually(
      async () => {
        const expected = new Map<string, string | null>()
        for (const { id, properties } of portal.live('companies')) {
          expected.set(String(id), properties.numberofemployees || null)
        }
        expect(await companiesIn(database)).toEqual(expected)
      },
      { deadlineMs: 60_000 },
    )
  for (const point of LOADING) {
    await using service = startConnectedChild(database, simulator, `kill:${point}`)
    expect((await service.ended).signal, point).toBe('SIGKILL')
  }
  const random = randomFrom(1, 'crash')
  for (const point of FOLLOWING) {
    await using service = startConnectedChild(database, simulator)
    await service.running()
    await isLoaded()
    service.killAt(point, 1)
    for (let edit = 0; edit < 40; edit += 1) liveEdit(portal, random)
    expect((await service.ended).signal, point).toBe('SIGKILL')
  }
  await using service = startConnectedChild(database, simulator)
  await service.running()
  await isLoaded()
  const { differences, entities } = await checker.check(database)
  expect(differences).toEqual([])
  expect(entities).toBeGreaterThan(50)
})
