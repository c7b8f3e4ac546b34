/** The paths from before v3, as HubSpot's documentation shows their answers. */
import { describe, expect, it } from 'vitest'
import { PORTAL_ID, Portal, type Simulator, SimulatorClock, startSimulator } from './index.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')

function portalOf(records: number): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  for (let id = 1; id <= records; id += 1) {
    portal.create('companies', { name: `Company ${id}`, yc_launched_at: T0 - id }, { id })
    portal.create('deals', { dealname: `Deal ${id}` }, { id })
  }
  return portal
}

async function get({ url, token }: Simulator, path: string, method = 'GET') {
  const response = await fetch(url + path, { method, headers: { authorization: `Bearer ${token}` } })
  return { status: response.status, body: JSON.parse(await response.text()) }
}

const written = (name: string, value: string, timestamp: number, source = 'CRM_UI') => {
  const version = { name, value, timestamp, source, sourceVid: [] }
  return { value, timestamp, source, sourceId: null, versions: [version] }
}

describe('companies of before v3', () => {
  it('come page by page from the last id on, with the properties asked for, without those that are archived', async () => {
    const portal = portalOf(260)
    portal.archive('companies', 3)
    await using simulator = await startSimulator({ portal, rateLimits: false })
    const path = '/companies/v2/companies/paged?limit=250&properties=name&properties=city'
    const { body: first } = await get(simulator, path)
    expect(first.companies).toHaveLength(250)
    expect([first['has-more'], first.offset]).toStrictEqual([true, 251])
    expect(first.companies[0]).toStrictEqual({
      portalId: PORTAL_ID,
      companyId: 1,
      isDeleted: false,
      properties: { name: written('name', 'Company 1', T0) },
      additionalDomains: [],
    })
    const { body: second } = await get(simulator, `${path}&offset=${first.offset}`)
    const ids = [...first.companies, ...second.companies].map(({ companyId }) => companyId)
    expect(ids).toStrictEqual(Array.from({ length: 260 }, (_, at) => at + 1).filter((id) => id !== 3))
    expect(second['has-more']).toBe(false)
    expect((await get(simulator, '/companies/v2/companies/paged?limit=251')).status).toBe(400)
  })

  it('come alone with all that is set, times in milliseconds, by an old id after a merge, not when archived', async () => {
    const portal = portalOf(3)
    portal.clock.advance(5_000)
    portal.edit('companies', 1, { city: 'Oslo' })
    const merged = portal.merge('companies', 1, 2).id
    portal.archive('companies', 3)
    await using simulator = await startSimulator({ portal, rateLimits: false })
    const { body } = await get(simulator, '/companies/v2/companies/2')
    expect(body.companyId).toBe(merged)
    expect(body.properties).toMatchObject({
      name: written('name', 'Company 1', T0),
      city: written('city', 'Oslo', T0 + 5_000),
      yc_launched_at: written('yc_launched_at', String(T0 - 1), T0),
      hs_lastmodifieddate: written('hs_lastmodifieddate', String(T0 + 5_000), T0 + 5_000, 'CALCULATED'),
    })
    expect(body.properties).not.toHaveProperty('website')
    expect((await get(simulator, '/companies/v2/companies/3')).status).toBe(404)
    expect((await get(simulator, '/companies/v2/companies/1', 'POST')).status).toBe(405)
  })
})

describe('deals of before v3', () => {
  it('come with every property and what they are associated with where that is asked for', async () => {
    const portal = portalOf(3)
    portal.associate('deals', 1, 'companies', 2)
    await using simulator = await startSimulator({ portal, rateLimits: false })
    const asked = 'includeAllProperties=True&allPropertiesFetchMode=latest_version'
    const { body } = await get(simulator, `/deals/v1/deal/paged?limit=2&includeAssociations=True&${asked}`)
    expect([body.hasMore, body.offset]).toStrictEqual([true, 2])
    expect(body.deals[0].associations).toStrictEqual({
      associatedVids: [],
      associatedCompanyIds: [2],
      associatedDealIds: [],
    })
    expect(Object.keys(body.deals[0].properties)).toContain('hs_lastmodifieddate')
    const { body: last } = await get(simulator, '/deals/v1/deal/paged?offset=2&properties=dealname')
    expect(last).toMatchObject({ hasMore: false, offset: 3 })
    expect(last.deals[0].properties).toStrictEqual({ dealname: written('dealname', 'Deal 3', T0) })
  })
})

describe('property definitions of before v3', () => {
  it('are a bare list', async () => {
    await using simulator = await startSimulator({ portal: portalOf(0), rateLimits: false })
    for (const path of ['/companies/v2/properties', '/properties/v1/deals/properties']) {
      const { body } = await get(simulator, path)
      expect(body).toContainEqual(expect.objectContaining({ name: 'hs_lastmodifieddate', type: 'datetime' }))
    }
  })
})
