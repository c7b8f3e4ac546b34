/** What the simulator serves beside records, as the official client and plain calls see it. */
import { Client } from '@hubspot/api-client'
import { describe, expect, it } from 'vitest'
import { loadPortal, PORTAL_ID, Portal, type Simulator, SimulatorClock, startSimulator } from './index.ts'
import { property } from './schema.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')
const MACHINES = `p${PORTAL_ID}_machines`

function portalWithMachines(): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  portal.defineObject({ name: 'machines', properties: [property('serial', 'string')] })
  portal.create('companies', { name: 'One' }, { id: 1 })
  portal.create('contacts', {}, { id: 2 })
  portal.create(MACHINES, { serial: 'M' }, { id: 3 })
  return portal
}

async function start(portal: Portal) {
  const simulator = await startSimulator({ portal, rateLimits: false })
  const client = new Client({ accessToken: simulator.token, basePath: simulator.url, numberOfApiCallRetries: 0 })
  return { simulator, client, [Symbol.asyncDispose]: () => simulator.close() }
}

async function call(
  simulator: Simulator,
  method: string,
  path: string,
  options: { token?: string; body?: object } = {},
) {
  const { token = simulator.token, body } = options
  const response = await fetch(simulator.url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

async function appToken({ url, app }: Simulator): Promise<string> {
  const form = { grant_type: 'client_credentials', client_id: app.clientId, client_secret: app.clientSecret }
  const response = await fetch(`${url}/oauth/2026-09/token`, { method: 'POST', body: new URLSearchParams(form) })
  return JSON.parse(await response.text()).access_token
}

describe('the official client', () => {
  it('sees custom objects by every name they have', async () => {
    await using at = await start(portalWithMachines())
    const { results } = await at.client.crm.schemas.coreApi.getAll()
    const [schema] = results
    expect(schema).toMatchObject({ name: 'machines', fullyQualifiedName: MACHINES })
    expect(schema?.properties.map(({ name }) => name)).toContain('serial')
    for (const name of [MACHINES, 'p_machines', schema?.objectTypeId ?? '']) {
      const found = await at.client.crm.objects.basicApi.getById(name, '3', ['serial'])
      expect(found.properties).toMatchObject({ serial: 'M', hs_object_id: '3' })
    }
  })

  it('sees owners, those who left on their own list, and pipelines with their stages', async () => {
    const portal = portalWithMachines()
    const anna = portal.owners.add({ firstName: 'Anna', lastName: 'Ek', email: 'anna@x.example' })
    portal.owners.add({ firstName: 'Ben', lastName: 'Ek', email: 'ben@x.example' })
    portal.owners.change(anna.id, { archived: true })
    await using at = await start(portal)
    const { ownersApi } = at.client.crm.owners
    const names = async (archived: boolean) =>
      (await ownersApi.getPage(undefined, undefined, 100, archived)).results.map(({ firstName }) => firstName)
    expect([await names(false), await names(true)]).toStrictEqual([['Ben'], ['Anna']])
    const { results } = await at.client.crm.pipelines.pipelinesApi.getAll('deals')
    expect(results[0]?.stages.find(({ id }) => id === 'closedwon')).toMatchObject({
      label: 'Closed Won',
      metadata: { isClosed: 'true', probability: '1.0' },
    })
  })

  it('sees labels side by side, and takes one off without the others', async () => {
    const portal = portalWithMachines()
    const pays = portal.edges.define('companies', 'contacts', 'Pays')
    await using at = await start(portal)
    const { v4 } = at.client.crm.associations
    const { results: types } = await v4.schema.definitionsApi.getAll('companies', 'contacts')
    expect(types.map(({ category, typeId, label }) => [category, typeId, label])).toStrictEqual([
      ['HUBSPOT_DEFINED', 280, null],
      ['HUBSPOT_DEFINED', 2, 'Primary'],
      ['USER_DEFINED', pays, 'Pays'],
    ])
    portal.associate('companies', 1, 'contacts', 2)
    portal.associate('companies', 1, 'contacts', 2, pays, 'USER_DEFINED')
    const labels = async () => {
      const read = await v4.batchApi.getPage('companies', 'contacts', { inputs: [{ id: '1' }] })
      return read.results[0]?.to[0]?.associationTypes.map(({ label }) => label ?? null)
    }
    expect(await labels()).toStrictEqual([null, 'Pays'])
    const inputs = [
      { from: { id: '1' }, to: { id: '2' }, types: [{ associationCategory: 'USER_DEFINED', associationTypeId: pays }] },
    ]
    const path = '/crm/associations/2026-09/companies/contacts/batch/labels/archive'
    expect((await call(at.simulator, 'POST', path, { body: { inputs } })).status).toBe(204)
    expect(await labels()).toStrictEqual([null])
  })

  it('sees the associations of one record page by page, and in the old way', async () => {
    const portal = portalWithMachines()
    for (let id = 11; id <= 15; id += 1) {
      portal.create('contacts', {}, { id })
      portal.associate('companies', 1, 'contacts', id)
    }
    portal.associate('companies', 1, 'contacts', 11, 2)
    await using at = await start(portal)
    const { basicApi } = at.client.crm.associations.v4
    const first = await basicApi.getPage('companies', '1', 'contacts', undefined, 3)
    expect(first.results.map(({ toObjectId }) => Number(toObjectId))).toStrictEqual([11, 12, 13])
    const second = await basicApi.getPage('companies', '1', 'contacts', first.paging?.next?.after, 3)
    expect(second.results.map(({ toObjectId }) => Number(toObjectId))).toStrictEqual([14, 15])
    expect(second.paging).toBeUndefined()
    const old = await at.client.crm.associations.batchApi.read('companies', 'contacts', { inputs: [{ id: '1' }] })
    expect(old.results[0]?.to.map(({ id, type }) => `${id} ${type}`).slice(0, 2)).toStrictEqual([
      '11 company_to_contact_unlabeled',
      '11 company_to_contact',
    ])
  })
})

describe('properties', () => {
  it('are created in a group, once, and can be written then', async () => {
    await using at = await start(portalWithMachines())
    const { groupsApi, coreApi } = at.client.crm.properties
    const made = { name: 'score', label: 'Score', type: 'number', fieldType: 'number', groupName: 'rescore' } as const
    const create = () => call(at.simulator, 'POST', '/crm/properties/2026-09/companies', { body: made })
    expect((await create()).status).toBe(400)
    await groupsApi.create('companies', { name: 'rescore', label: 'Rescore', displayOrder: -1 })
    expect([(await create()).status, (await create()).status]).toStrictEqual([201, 409])
    expect((await coreApi.getByName('companies', 'score')).groupName).toBe('rescore')
    await at.client.crm.companies.basicApi.update('1', { properties: { score: '7' } })
    expect((await at.client.crm.companies.basicApi.getById('1', ['score'])).properties.score).toBe('7')
  })
})

describe('calculated properties', () => {
  it('change without the last-modified time, and cannot be written', async () => {
    const portal = portalWithMachines()
    await using at = await start(portal)
    const read = () => at.client.crm.companies.basicApi.getById('1', ['num_associated_contacts'])
    const before = await read()
    portal.clock.advance(60_000)
    portal.associate('companies', 1, 'contacts', 2)
    const after = await read()
    expect([before, after].map(({ properties }) => properties.num_associated_contacts)).toStrictEqual(['0', '1'])
    expect(after.updatedAt).toStrictEqual(before.updatedAt)
    const write = at.client.crm.companies.basicApi.update('1', { properties: { num_associated_contacts: '9' } })
    await expect(write).rejects.toMatchObject({ code: 400 })
  })
})

describe('the journal', () => {
  const JOURNAL = '/webhooks-journal/journal/2026-09'
  const subscription = { subscriptionType: 'OBJECT', portalId: PORTAL_ID, objectTypeId: '0-2', properties: ['name'] }

  it('tells the app, not the portal, of what it has subscribed to, file after file, for three days', async () => {
    const portal = portalWithMachines()
    await using at = await start(portal)
    expect((await call(at.simulator, 'GET', `${JOURNAL}/latest`)).status).toBe(401)
    const token = await appToken(at.simulator)
    const get = (path: string) => call(at.simulator, 'GET', path, { token })
    portal.edit('companies', 1, { name: 'Before anyone listens' })
    const body = { ...subscription, actions: ['UPDATE', 'DELETE'] }
    await call(at.simulator, 'POST', '/webhooks-journal/subscriptions/2026-09', { token, body })
    expect((await get(`${JOURNAL}/latest`)).status).toBe(204)
    portal.edit('companies', 1, { name: 'Two', city: 'Oslo' })
    portal.create('contacts', {})
    const first = (await get(`${JOURNAL}/earliest`)).body
    const path = first.url.slice(at.simulator.url.length)
    const { body: file } = await call(at.simulator, 'GET', path, { token: '' })
    expect(file.journalEvents).toMatchObject([
      { action: 'UPDATE', objectTypeId: '0-2', objectId: 1, propertyChanges: { name: 'Two' } },
    ])
    const next = `${JOURNAL}/offset/${first.currentOffset}/next`
    expect((await get(next)).status).toBe(204)
    portal.archive('companies', 1)
    const second = (await get(next)).body
    expect(second.currentOffset).not.toBe(first.currentOffset)
    expect((await get(next)).body.currentOffset).toBe(second.currentOffset)
    portal.clock.advance(20 * 60_000)
    expect((await call(at.simulator, 'GET', path, { token: '' })).status).toBe(403)
    expect((await get('/webhooks/v4/journal/latest')).body.currentOffset).toBe(second.currentOffset)
    portal.clock.advance(3 * 86_400_000)
    const later = await appToken(at.simulator)
    expect((await call(at.simulator, 'GET', next, { token: later })).status).toBe(404)
  })
})

describe('webhooks', () => {
  it('of a target that refuses come again with the next attempt, ten times', async () => {
    const portal = portalWithMachines()
    await using at = await start(portal)
    at.simulator.webhooks.subscribe({ url: `${at.simulator.url}/nobody-listens`, clientSecret: 's' })
    portal.edit('companies', 1, { name: 'Two' })
    for (let attempt = 0; attempt < 10; attempt += 1) {
      expect(await at.simulator.webhooks.deliver()).toStrictEqual({ taken: 0, refused: 1 })
    }
    expect(await at.simulator.webhooks.deliver()).toStrictEqual({ taken: 0, refused: 0 })
  })
})

describe('a dump', () => {
  it('holds custom objects, labels, owners and tickets', () => {
    const portal = portalWithMachines()
    const pays = portal.edges.define('companies', 'contacts', 'Pays')
    portal.associate('companies', 1, 'contacts', 2, pays, 'USER_DEFINED')
    portal.associate(MACHINES, 3, 'companies', 1)
    portal.owners.add({ firstName: 'Anna', lastName: 'Ek', email: 'anna@x.example' })
    portal.create('tickets', { subject: 'Help' })
    const again = loadPortal(JSON.parse(JSON.stringify(portal.dump())), { clock: SimulatorClock.frozenAt(T0) })
    expect(again.dump()).toStrictEqual(portal.dump())
  })
})
