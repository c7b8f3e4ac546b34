/** A sweep believes no list: whatever HubSpot answers, only a record that is gone by its own word goes. */
import { describe, expect, it } from 'vitest'
import { KitProxy } from '../../src/conformance/proxy.ts'
import { runPass } from '../../src/connect/pass.ts'
import { expectedRows, rowsOf, type SetUpOptions, SMALL_TABLES, setUpHubspot } from '../../test/support/hubspot.ts'
import { hubspot } from './index.ts'

const EVERY_MS = 86_400_000

/** The connector behind a proxy that may answer lists in HubSpot's place. */
async function setUp(records: number, options: SetUpOptions = {}) {
  const at = await setUpHubspot(options)
  for (let id = 1; id <= records; id += 1) at.portal.create('companies', { name: `Company ${id}` }, { id })
  const proxy = new KitProxy(at.simulator.url, at.clock)
  const connector = hubspot({
    accessToken: at.simulator.token,
    baseUrl: await proxy.listen(),
    ...SMALL_TABLES,
    history: [],
    callsPer10s: 100_000,
    searchesPerSecond: 10_000,
    ...options,
  })
  const pass = (name: string) => {
    const stream = connector.streams.find((one) => one.name === name)
    if (stream === undefined) throw new Error(`no stream ${name}`)
    return runPass({ ...at.run, connector }, stream, at.book)
  }
  await pass('companies')
  await pass('companies_sweep')
  at.clock.advance(EVERY_MS)
  const count = async () => (await rowsOf(at, SMALL_TABLES.companies)).length
  const expectSame = async () =>
    expect(await rowsOf(at, SMALL_TABLES.companies)).toStrictEqual(
      expectedRows(at.portal, 'companies', SMALL_TABLES.companies),
    )
  return {
    ...at,
    proxy,
    pass,
    count,
    expectSame,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]()
      await at[Symbol.asyncDispose]()
    },
  }
}

const isList = (path: string) => /^\/crm\/objects\/2026-09\/companies\?/.test(path)
const EMPTY = { status: 200, body: '{"results":[]}' }

describe('a sweep', () => {
  it.each([
    ['of a few records', 30],
    ['of many', 300],
  ])('deletes nothing %s when HubSpot answers 200 with an empty list', async (_, records) => {
    await using at = await setUp(records)
    at.proxy.answer = ({ path }) => (isList(path) ? EMPTY : undefined)
    await at
      .pass('companies_sweep')
      .catch((error: unknown) => expect(error).toMatchObject({ code: 'HUBSPOT_LIST_SHORT' }))
    expect(await at.count()).toBe(records)
    at.proxy.answer = undefined
    at.portal.privacyDelete('companies', 7)
    at.clock.advance(EVERY_MS)
    await at.pass('companies_sweep')
    await at.expectSame()
  })

  it('deletes nothing when the list ends in the middle, and finishes when it does not', async () => {
    await using at = await setUp(350)
    at.portal.privacyDelete('companies', 50)
    at.portal.privacyDelete('companies', 349)
    at.proxy.answer = ({ path }) => (isList(path) && path.includes('after=') ? EMPTY : undefined)
    await expect(at.pass('companies_sweep')).rejects.toMatchObject({ code: 'HUBSPOT_LIST_SHORT' })
    expect(await at.count()).toBe(349)
    at.proxy.answer = undefined
    await at.pass('companies_sweep')
    await at.expectSame()
  })

  it('leaves out no record that came back while it ran', async () => {
    await using at = await setUp(120)
    at.portal.archive('companies', 60)
    at.proxy.onAnswered = ({ path }) => {
      if (isList(path) && at.portal.find('companies', 60)?.archivedMs !== null) at.portal.restore('companies', 60)
    }
    await at.pass('companies_sweep')
    await at.expectSame()
  })

  it('that finds too many records nowhere stops, says so, and removes no more the next day', async () => {
    await using at = await setUp(400, { sweepMayRemove: 0.2 })
    // As for a token that has lost its sight of them.
    for (let id = 101; id <= 400; id += 1) at.portal.privacyDelete('companies', id)
    for (let day = 0; day < 3; day += 1) {
      await expect(at.pass('companies_sweep')).rejects.toMatchObject({ code: 'HUBSPOT_MASS_REMOVAL' })
      expect(await at.count()).toBeGreaterThanOrEqual(320)
      const calls = at.proxy.calls.length
      // Held: the next looks cost nothing.
      await at.pass('companies_sweep')
      expect(at.proxy.calls).toHaveLength(calls)
      at.clock.advance(EVERY_MS)
    }
  })

  it('that may remove them does', async () => {
    await using at = await setUp(400, { sweepMayRemove: 1 })
    for (let id = 101; id <= 400; id += 1) at.portal.privacyDelete('companies', id)
    await at.pass('companies_sweep')
    await at.expectSame()
  })
})
