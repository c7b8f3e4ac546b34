/**
 * The simulator against HubSpot's official client, which knows the shapes and nothing of this simulator, and against
 * what HubSpot documents or users have reported (README.md names each source).
 */
import { Client } from '@hubspot/api-client'
import { FilterOperatorEnum } from '@hubspot/api-client/lib/codegen/crm/companies/index.js'
import { describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { Portal, type Simulator, SimulatorClock, type SimulatorOptions, startSimulator } from './index.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')

function frozen(companies = 0): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  for (let id = 1; id <= companies; id += 1) portal.create('companies', { name: `Company ${id}` }, { id })
  return portal
}

async function start(portal: Portal, options: SimulatorOptions = {}) {
  const simulator = await startSimulator({ portal, rateLimits: false, ...options })
  const client = new Client({ accessToken: simulator.token, basePath: simulator.url, numberOfApiCallRetries: 0 })
  return { simulator, client, [Symbol.asyncDispose]: () => simulator.close() }
}

async function call({ url, token }: Simulator, method: string, path: string, body?: unknown) {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const json = (): Record<string, unknown> => JSON.parse(text)
  return { status: response.status, headers: response.headers, text, json }
}

describe('the official client', () => {
  it('lists every record once, page by page, ids ascending', async () => {
    await using at = await start(frozen(230))
    const all = await at.client.crm.companies.getAll(100, undefined, ['name'])
    expect(all.map(({ id }) => Number(id))).toStrictEqual(Array.from({ length: 230 }, (_, index) => index + 1))
    expect(all[16]?.properties).toMatchObject({ name: 'Company 17', hs_object_id: '17' })
    expect(all[16]?.updatedAt).toStrictEqual(new Date(T0))
  })

  it('searches, writes, and sees its own write once the index has caught up', async () => {
    const portal = frozen(5)
    portal.indexLag = { min: 10_000, max: 10_000 }
    await using at = await start(portal)
    const { companies } = at.client.crm
    const made = await companies.basicApi.create({ properties: { name: 'Newcomer' } })
    const filters = [{ propertyName: 'name', operator: FilterOperatorEnum.Eq, value: 'newcomer' }]
    const request = { filterGroups: [{ filters }], sorts: [], properties: ['name'], limit: 10 }
    expect((await companies.searchApi.doSearch(request)).total).toBe(0)
    expect((await companies.basicApi.getById(made.id)).properties.name).toBe('Newcomer')
    portal.clock.advance(10_000)
    const found = await companies.searchApi.doSearch(request)
    expect(found.results.map(({ id }) => id)).toStrictEqual([made.id])
    // The index knows the old name still; the answer holds the new one.
    portal.edit('companies', Number(made.id), { name: 'Renamed' })
    expect((await companies.searchApi.doSearch(request)).results[0]?.properties.name).toBe('Renamed')
  })

  it('reads a batch, and is told of the ids that are missing', async () => {
    const portal = frozen(3)
    portal.archive('companies', 2)
    await using at = await start(portal)
    const answer = await at.client.crm.companies.batchApi.read({
      inputs: [{ id: '1' }, { id: '2' }, { id: '99' }],
      properties: ['name'],
      propertiesWithHistory: ['name'],
    })
    expect(answer.results.map(({ id }) => id)).toStrictEqual(['1'])
    expect(answer.results[0]?.propertiesWithHistory?.name).toMatchObject([{ value: 'Company 1', sourceType: 'CRM_UI' }])
    expect(answer).toMatchObject({
      numErrors: 1,
      errors: [{ category: 'OBJECT_NOT_FOUND', context: { ids: ['2', '99'] } }],
    })
  })

  it('reads associations page by page, both labels of each, and none of archived records', async () => {
    const portal = frozen(2)
    for (let id = 101; id <= 105; id += 1) {
      portal.create('contacts', {}, { id })
      portal.associate('contacts', id, 'companies', 1, id === 101 ? 1 : 279)
    }
    portal.archive('contacts', 103)
    await using at = await start(portal, { associationPage: 3 })
    const read = (after?: string) =>
      at.client.crm.associations.v4.batchApi.getPage('companies', 'contacts', {
        inputs: [{ id: '1', ...(after === undefined ? {} : { after }) }, { id: '2' }],
      })
    const first = await read()
    const [result] = first.results
    expect(result?.to.map(({ toObjectId }) => Number(toObjectId))).toStrictEqual([101, 102, 104])
    expect(result?.to[0]?.associationTypes[0]).toMatchObject({ typeId: 2, label: 'Primary' })
    expect(first).toMatchObject({ numErrors: 1 })
    const second = await read(result?.paging?.next?.after)
    expect(second.results[0]?.to.map(({ toObjectId }) => Number(toObjectId))).toStrictEqual([105])
    expect(second.results[0]?.paging).toBeUndefined()
  })

  it('merges: a new record, and both old ids lead to it', async () => {
    const portal = frozen(2)
    portal.create('contacts', {}, { id: 50 })
    portal.associate('companies', 2, 'contacts', 50)
    await using at = await start(portal)
    const { basicApi } = at.client.crm.companies
    const merged = await basicApi.merge({ primaryObjectId: '1', objectIdToMerge: '2' })
    for (const id of ['1', '2']) {
      const found = await basicApi.getById(id, ['hs_merged_object_ids', 'name'])
      expect(found.id).toBe(merged.id)
      expect(found.properties).toMatchObject({ hs_merged_object_ids: '1;2', name: 'Company 1' })
    }
    expect(portal.edges.of('companies', Number(merged.id), 'contacts')).toHaveLength(1)
  })

  it('is refused above the limits, by name of the policy, and searches say nothing of them', async () => {
    const portal = frozen(1)
    await using at = await start(portal, { rateLimits: { burst: 3, search: 1 } })
    const { basicApi, searchApi } = at.client.crm.companies
    for (let calls = 0; calls < 3; calls += 1) await basicApi.getById('1')
    await expect(basicApi.getById('1')).rejects.toMatchObject({
      code: 429,
      body: { policyName: 'TEN_SECONDLY_ROLLING', errorType: 'RATE_LIMIT' },
    })
    const request = { filterGroups: [], sorts: [], properties: [], limit: 1 }
    await searchApi.doSearch(request)
    await expect(searchApi.doSearch(request)).rejects.toMatchObject({ code: 429, body: { policyName: 'SECONDLY' } })
    portal.clock.advance(10_000)
    const listed = await call(at.simulator, 'GET', '/crm/objects/2026-09/companies')
    expect(listed.headers.get('x-hubspot-ratelimit-remaining')).toBe('2')
    const searched = await call(at.simulator, 'POST', '/crm/v3/objects/companies/search', {})
    expect([searched.status, searched.headers.get('x-hubspot-ratelimit-remaining')]).toStrictEqual([200, null])
  })
})

describe('what HubSpot refuses', () => {
  const filter = (value: string) => ({ propertyName: 'name', operator: 'EQ', value })
  const group = (count: number) => ({ filters: Array.from({ length: count }, (_, n) => filter(String(n))) })
  const ids = (count: number) => ({ inputs: Array.from({ length: count }, (_, n) => ({ id: String(n + 1) })) })
  const search = '/crm/v3/objects/companies/search'
  it.each([
    ['a page of 101', 'GET', '/crm/v3/objects/companies?limit=101', undefined, 400],
    [
      'a page of 51 with histories',
      'GET',
      '/crm/v3/objects/companies?limit=51&propertiesWithHistory=name',
      undefined,
      400,
    ],
    ['a cursor it never gave', 'GET', '/crm/v3/objects/companies?after=17', undefined, 400],
    ['a search page of 201', 'POST', search, { limit: 201 }, 400],
    ['results beyond 10,000', 'POST', search, { limit: 200, after: '9900' }, 400],
    ['two sorts', 'POST', search, { sorts: ['name', 'createdate'] }, 400],
    ['six groups', 'POST', search, { filterGroups: Array.from({ length: 6 }, () => group(1)) }, 400],
    ['nineteen filters', 'POST', search, { filterGroups: [6, 6, 6, 1].map(group) }, 400],
    [
      'a body above 3,000 characters',
      'POST',
      search,
      { properties: Array.from({ length: 400 }, (_, n) => `p${n}xxx`) },
      400,
    ],
    [
      'an unknown property in a filter',
      'POST',
      search,
      { filterGroups: [{ filters: [{ ...filter('x'), propertyName: 'nope' }] }] },
      400,
    ],
    ['101 inputs', 'POST', '/crm/objects/2026-09/companies/batch/read', ids(101), 400],
    ['an unknown property in a write', 'POST', '/crm/v3/objects/companies', { properties: { nope: '1' } }, 400],
    [
      'a number that is none',
      'PATCH',
      '/crm/v3/objects/companies/1',
      { properties: { numberofemployees: 'many' } },
      400,
    ],
    [
      'a write of what is read only',
      'PATCH',
      '/crm/v3/objects/companies/1',
      { properties: { hs_object_id: '5' } },
      400,
    ],
    ['a record that is not there', 'GET', '/crm/v3/objects/companies/99', undefined, 404],
    ['an address above 16 KiB', 'GET', `/crm/v3/objects/companies?properties=${'x'.repeat(17_000)}`, undefined, 414],
  ] as const)('%s', async (_, method, path, body, status) => {
    await using at = await start(frozen(1))
    const answer = await call(at.simulator, method, path, body)
    expect(answer.status).toBe(status)
    if (status === 414) expect(answer.text).toMatch(/^<html>/)
    else
      expect(answer.json().correlationId).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      )
    expect(at.simulator.errors).toStrictEqual([])
  })

  it('a wrong token', async () => {
    await using at = await start(frozen(1))
    const answer = await call({ ...at.simulator, token: 'wrong' }, 'GET', '/crm/v3/objects/companies')
    expect([answer.status, answer.json().category]).toStrictEqual([401, 'INVALID_AUTHENTICATION'])
  })
})

describe('the control API', () => {
  it('edits, bulk-touches, archives, merges and breaks the wire while others read', async () => {
    const portal = frozen(20)
    await using at = await start(portal)
    const sim = (method: string, path: string, body?: unknown) => call(at.simulator, method, `/__sim/${path}`, body)
    await sim('POST', 'clock', { advanceMs: 60_000 })
    await sim('POST', 'edit', { type: 'companies', id: 1, properties: { name: 'Edited' }, source: 'IMPORT' })
    expect(portal.get('companies', 1)?.history.get('name')?.[0]).toMatchObject({ value: 'Edited', source: 'IMPORT' })
    expect((await sim('POST', 'touch', { type: 'companies', count: 15 })).json()).toStrictEqual({ touched: 15 })
    const stamped = [...portal.live('companies')].filter(({ modifiedMs }) => modifiedMs === T0 + 60_000)
    expect(stamped).toHaveLength(15)
    await sim('POST', 'archive', { type: 'companies', id: 2 })
    const merged = (await sim('POST', 'merge', { type: 'companies', id: 3, otherId: 4 })).json()
    expect(portal.get('companies', 4)?.id).toBe(Number(merged.id))
    expect((await sim('POST', 'archive', { type: 'companies', id: 2 })).status).toBe(400)
    await sim('POST', 'faults', { kind: 'status', status: 503, count: 2, match: 'GET' })
    const list = () => call(at.simulator, 'GET', '/crm/v3/objects/companies?limit=100')
    expect([(await list()).status, (await list()).status, (await list()).status]).toStrictEqual([503, 503, 200])
    expect((await sim('GET', 'counters')).json()).toMatchObject({ calls: 3, faults: 2, records: { companies: 18 } })
  })

  it('ends a call that hangs when its caller goes away', async () => {
    await using at = await start(frozen(1))
    at.simulator.faults.add({ kind: 'hang' })
    const gone = new AbortController()
    const hanging = fetch(`${at.simulator.url}/crm/v3/objects/companies`, { signal: gone.signal })
    await eventually(() => expect(at.simulator.counters().open).toBe(1))
    gone.abort()
    await expect(hanging).rejects.toThrow()
    await eventually(() => expect(at.simulator.counters().open).toBe(0))
  })
})
