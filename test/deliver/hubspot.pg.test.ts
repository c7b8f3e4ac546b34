import { expect, test } from 'vitest'
import { hubspotDelivery } from '../../connectors/hubspot/index.ts'
import { type ConnectorDelivery, type DeliveryLimits, defineFeature } from '../../src/define/index.ts'
import { openDestination } from '../../src/deliver/destination.ts'
import { prepareDeliveries } from '../../src/deliver/prepare.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { Portal, SimulatorClock, startSimulator } from '../simulator/index.ts'
import { startPortalFront } from './portal-front.ts'
import { company, FIELDS, growth, type Setting, setting } from './setting.ts'

const T0 = Date.parse('2026-06-01T00:00:00Z')

async function portalSetting(limits: DeliveryLimits = {}, companies = 0) {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0) })
  const ids = Array.from({ length: companies }, (_, at) => portal.create('companies', { name: `c${at}` }).id)
  const simulator = await startSimulator({ portal, rateLimits: false, indexLag: 0 })
  const front = await startPortalFront(simulator)
  const to = hubspotDelivery({
    accessToken: simulator.token,
    baseUrl: front.url,
    entity: company,
    fields: FIELDS,
    callsPer10s: 100_000,
    ...limits,
  })
  const set = await setting([to])
  const options = { ...set.options, waiting: { sleep: () => Promise.resolve(), attempts: 2 } }
  return {
    portal,
    simulator,
    front,
    to,
    set,
    ids,
    deliver: (delivery: ConnectorDelivery = to) => set.deliver(delivery, openDestination(delivery, options)),
    [Symbol.asyncDispose]: async () => {
      await set[Symbol.asyncDispose]()
      await front[Symbol.asyncDispose]()
      await simulator.close()
    },
  }
}

const all = (ids: readonly number[], label = 'high', chance = 0.75) => ids.map((id) => [id, label, chance] as const)
const ours = (portal: Portal, id: number) => {
  const { growth_label: label, growth_probability: chance } = portal.get('companies', id)?.properties ?? {}
  return [label, chance]
}

async function asideOf({ db }: Setting) {
  const { rows } = await db.query<{ key: string; code: string }>(
    'select key, code from rescore.delivery where code is not null order by key::bigint',
  )
  return rows
}

test('group and properties are made once, and records go in batches of 100', async () => {
  await using at = await portalSetting({}, 250)
  await at.set.classify(all(at.ids))
  await at.deliver()
  await at.deliver()
  expect(at.front.made).toEqual(['rescore', 'growth_label', 'growth_probability'])
  expect(at.front.updates.map(({ inputs }) => inputs.length)).toEqual([100, 100, 50])
  expect(new Set(at.ids.map((id) => ours(at.portal, id).join()))).toEqual(new Set(['high,0.75']))
  await at.set.classify(all(at.ids.slice(0, 1), 'high', 0.5))
  await at.deliver()
  expect(at.front.updates.at(-1)?.inputs).toEqual([
    { id: String(at.ids[0]), objectWriteTraceId: String(at.ids[0]), properties: { growth_probability: '0.5' } },
  ])
})

test('a partial answer ends each error at its record: one gone, one refused, the others written', async () => {
  await using at = await portalSetting({}, 5)
  const [first = 0, second = 0] = at.ids
  at.portal.archive('companies', first)
  await at.set.classify(all(at.ids))
  at.front.answer = ({ inputs }) => {
    const results = inputs.filter(({ id }) => Number(id) > second).map(({ id }) => ({ id, properties: {} }))
    const errors = [
      { status: 'error', category: 'OBJECT_NOT_FOUND', message: 'gone', context: { ids: [String(first)] } },
      {
        status: 'error',
        category: 'VALIDATION_ERROR',
        message: 'no',
        context: { objectWriteTraceId: [String(second)] },
      },
    ]
    return { status: 207, body: { status: 'COMPLETE', results, numErrors: 2, errors } }
  }
  const passes = await at.deliver()
  expect(passes.map(({ written }) => written)).toEqual([3])
  expect(await asideOf(at.set)).toEqual([
    { key: String(first), code: 'DELIVER_GONE' },
    { key: String(second), code: 'HUBSPOT_RECORD_REFUSED' },
  ])
})

test('a batch refused whole is halved until the bad records stand alone', async () => {
  await using at = await portalSetting({}, 64)
  const bad = new Set([at.ids[7], at.ids[40]].map(String))
  at.front.answer = ({ inputs }) =>
    inputs.some(({ id }) => bad.has(id))
      ? { status: 400, body: { status: 'error', category: 'VALIDATION_ERROR', message: 'bad input' } }
      : undefined
  await at.set.classify(all(at.ids))
  const passes = await at.deliver()
  expect(passes.map(({ written, aside }) => [written, aside])).toEqual([[62, 2]])
  expect((await asideOf(at.set)).map(({ key }) => key)).toEqual([...bad])
  expect(at.front.updates.length).toBeLessThan(4 * Math.ceil(Math.log2(64)))
})

test('records that are all gone, and one that lives on under another id, are not asked for again', async () => {
  await using at = await portalSetting({}, 4)
  const [first = 0, second = 0, third = 0, fourth = 0] = at.ids
  at.portal.privacyDelete('companies', first)
  at.portal.archive('companies', second)
  at.portal.merge('companies', third, fourth)
  await at.set.classify(all(at.ids))
  await at.deliver()
  expect((await asideOf(at.set)).map(({ code }) => code)).toEqual(at.ids.map(() => 'DELIVER_GONE'))
  expect(await at.deliver()).toEqual([])
})

test('a batch whose answer was lost is repeated and written no differently', async () => {
  await using at = await portalSetting({}, 3)
  await at.set.classify(all(at.ids))
  at.front.losesAnswers = true
  const [failed] = await at.deliver()
  expect(failed?.failure).toMatchObject({ code: 'HUBSPOT_NETWORK' })
  const before = at.ids.map((id) => at.portal.get('companies', id)?.writes)
  at.front.losesAnswers = false
  await at.set.db.query('update rescore.delivery set due_at = now()')
  const passes = await at.deliver()
  expect(passes.map(({ written }) => written)).toEqual([3])
  expect(at.ids.map((id) => ours(at.portal, id))).toEqual(at.ids.map(() => ['high', '0.75']))
  expect(before.every((writes) => writes !== undefined)).toBe(true)
})

test('values the mirror holds already are not written; one that was changed by hand since is', async () => {
  await using at = await portalSetting({}, 2)
  const [first = 0, second = 0] = at.ids
  await at.set.db.query(`insert into hubspot.companies (id, growth_label, growth_probability, hs_lastmodifieddate)
    values (${first}, 'high', 0.75, now()), (${second}, 'high', 0.1, now())`)
  await at.set.classify(all(at.ids))
  await at.deliver()
  expect(at.front.updates).toMatchObject([
    { inputs: [{ id: String(second), properties: { growth_probability: '0.75' } }] },
  ])
  await at.set.db.query(
    `update hubspot.companies set growth_label = null, hs_lastmodifieddate = now() + interval '1 minute' where id = ${first}`,
  )
  await at.set.classify(all(at.ids, 'high', 0.8))
  await at.deliver()
  expect(at.front.updates.at(-1)?.inputs.map(({ properties }) => properties)).toEqual([
    { growth_label: 'high', growth_probability: '0.8' },
    { growth_probability: '0.8' },
  ])
})

test('a delivered property that a feature reads is refused at the start, unless it is meant', async () => {
  await using at = await portalSetting()
  const reader = defineFeature({
    name: 'was_high',
    entity: company,
    version: 1,
    type: 'text',
    description: 'Reads back what we write.',
    inputs: { label: company.columns.growth_label },
    compute: ({ label }) => label,
  })
  const graph = compileGraph({ connectors: [], features: [reader], models: [] })
  const { pool } = at.set.db
  await expect(prepareDeliveries(pool, graph, [at.to])).rejects.toMatchObject({ code: 'DELIVER_CIRCLE' })
  const meant = { ...at.to, limits: { ...at.to.limits, feedsFeatures: true } }
  await prepareDeliveries(pool, graph, [meant])
  expect(growth.name).toBe('growth')
})
