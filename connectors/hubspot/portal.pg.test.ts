/** What a portal holds beside companies, contacts and deals, and what no time of modification tells of. */
import { describe, expect, it } from 'vitest'
import { sourceContext } from '../../src/connect/context.ts'
import { readKeys, syncStream } from '../../src/connect/sync.ts'
import { bigint, defineTable, number, type Table, text, timestamp } from '../../src/define/index.ts'
import { Portal, SimulatorClock } from '../../test/simulator/index.ts'
import { property } from '../../test/simulator/schema.ts'
import { expectedRows, type HubspotSetUp, rowsOf, setUpHubspot, T0 } from '../../test/support/hubspot.ts'
import { tickets } from './index.ts'

const machines = defineTable({
  name: 'hubspot.machines',
  key: 'id',
  columns: { id: bigint().notNull(), serial: text(), hours: number(), hs_lastmodifieddate: timestamp() },
})
const machineCompanies = defineTable({
  name: 'hubspot.machine_companies',
  key: ['machine_id', 'company_id', 'category', 'type_id'],
  columns: {
    machine_id: bigint().notNull(),
    company_id: bigint().notNull(),
    category: text().notNull(),
    type_id: number().notNull(),
    label: text(),
  },
})
const MACHINES = 'p12345678_machines'

function portalWithMachines(): Portal {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  portal.defineObject({ name: 'machines', properties: [property('serial', 'string'), property('hours', 'number')] })
  for (let id = 1; id <= 3; id += 1) portal.create('companies', { name: `Company ${id}` }, { id })
  for (let id = 11; id <= 14; id += 1) portal.create(MACHINES, { serial: `M-${id}`, hours: id }, { id })
  portal.associate(MACHINES, 11, 'companies', 1)
  return portal
}

const stream = (at: HubspotSetUp, name: string) => {
  const found = at.connector.streams.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no stream ${name}`)
  return found
}

async function lines(at: HubspotSetUp, sql: string): Promise<readonly string[]> {
  const { rows } = await at.db.query<{ line: string }>(`select concat_ws(' ', ${sql}`)
  return rows.map(({ line }) => line).sort()
}

const expectSame = async (at: HubspotSetUp, type: string, table: Table) =>
  expect(await rowsOf(at, table)).toStrictEqual(expectedRows(at.portal, type, table))

describe('tickets and custom objects', () => {
  it.each(['2026-09', 'v3'])(
    'are loaded, followed, archived, merged and erased like any other, by %s',
    async (apiVersion) => {
      const portal = portalWithMachines()
      const objects = { [MACHINES]: machines }
      const associations = [{ from: MACHINES, to: 'companies', table: machineCompanies }]
      await using at = await setUpHubspot({
        portal,
        tickets: true,
        objects,
        associations,
        apiVersion,
        sweepEveryMs: 1_000,
      })
      expect(await at.connector.check(sourceContext(at.run, at.book, 'check'))).toStrictEqual([])
      for (let id = 21; id <= 24; id += 1) portal.create('tickets', { subject: `Help ${id}`, hs_pipeline: '0' }, { id })
      portal.associate('tickets', 21, 'companies', 2)
      for (const { name } of at.connector.streams) await at.pass(name)
      const cases = [
        ['tickets', tickets, { subject: 'Solved' }],
        [MACHINES, machines, { hours: 99 }],
      ] as const
      for (const [type, table, change] of cases) {
        await expectSame(at, type, table)
        const [first = 0, second = 0, third = 0, fourth = 0] = [...portal.live(type)].map(({ id }) => id)
        at.clock.advance(120_000)
        portal.edit(type, first, change)
        const { id } = portal.merge(type, second, third)
        portal.archive(type, fourth)
        at.clock.advance(120_000)
        await at.pass(type)
        await at.pass(`${type}_archived`)
        await expectSame(at, type, table)
        portal.privacyDelete(type, id)
        at.clock.advance(5_000)
        await at.pass(`${type}_sweep`)
        await expectSame(at, type, table)
      }
      const edges = `machine_id, company_id, category, type_id) as line from hubspot.machine_companies
      union all select concat_ws(' ', company_id, ticket_id, category, type_id) from hubspot.company_tickets`
      expect(await lines(at, edges)).toStrictEqual(['11 1 USER_DEFINED 1', '2 21 HUBSPOT_DEFINED 340'])
    },
  )

  it('a custom object the portal does not have is named with its near matches', async () => {
    await using at = await setUpHubspot({ portal: portalWithMachines(), objects: { p12345678_machine: machines } })
    const [problem] = await at.connector.check(sourceContext(at.run, at.book, 'check'))
    expect(problem).toMatchObject({ code: 'HUBSPOT_UNKNOWN_OBJECT' })
    expect(problem?.message).toContain(`Did you mean '${MACHINES}'`)
  })
})

describe('labels of associations', () => {
  it('stand beside each other on one pair, and follow when they are renamed, taken off or taken back', async () => {
    const portal = portalWithMachines()
    portal.create('contacts', { email: 'a@x.example' }, { id: 51 })
    await using at = await setUpHubspot({ portal })
    const boss = portal.edges.define('companies', 'contacts', 'Boss')
    const payer = portal.edges.define('companies', 'contacts', 'Pays')
    portal.associate('companies', 1, 'contacts', 51)
    portal.associate('companies', 1, 'contacts', 51, 2)
    portal.associate('companies', 1, 'contacts', 51, boss, 'USER_DEFINED')
    portal.associate('companies', 1, 'contacts', 51, payer, 'USER_DEFINED')
    const edges = () => lines(at, 'category, type_id, label) as line from hubspot.company_contacts')
    const labels = () =>
      lines(
        at,
        "category, type_id, label) as line from hubspot.association_labels where to_type = 'contacts' and from_type = 'companies'",
      )
    for (const name of ['companies', 'companies_associations', 'association_labels']) await at.pass(name)
    const both = ['HUBSPOT_DEFINED 2 Primary', 'HUBSPOT_DEFINED 280', `USER_DEFINED ${payer} Pays`]
    expect(await edges()).toStrictEqual([...both, `USER_DEFINED ${boss} Boss`].sort())
    expect(await labels()).toStrictEqual(await edges())
    portal.edges.rename('companies', 'contacts', boss, 'Chief')
    portal.edges.undefine('companies', 'contacts', payer)
    portal.dissociate('companies', 1, 'contacts', 51, 2)
    for (const name of ['companies_associations', 'association_labels']) await at.pass(name)
    expect(await edges()).toStrictEqual(['HUBSPOT_DEFINED 280', `USER_DEFINED ${boss} Chief`])
    expect(await labels()).toStrictEqual([
      'HUBSPOT_DEFINED 2 Primary',
      'HUBSPOT_DEFINED 280',
      `USER_DEFINED ${boss} Chief`,
    ])
  })
})

describe('owners and pipelines', () => {
  it('are read whole; who leaves stays as archived, what is removed goes', async () => {
    await using at = await setUpHubspot({ owners: true, pipelines: true, tickets: true })
    const { portal } = at
    const [anna, ben] = ['anna', 'ben'].map((firstName) =>
      portal.owners.add({ firstName, lastName: 'Owner', email: `${firstName}@x.example` }),
    )
    for (let more = 0; more < 120; more += 1) {
      portal.owners.add({ firstName: `n${more}`, lastName: 'Owner', email: `n${more}@x.example` })
    }
    const owners = () => lines(at, "first_name, archived) as line from hubspot.owners where first_name not like 'n%'")
    const stages = () =>
      lines(
        at,
        'object_type, pipeline_id, label, is_closed, probability, ticket_state) as line from hubspot.pipeline_stages',
      )
    await at.pass('owners')
    await at.pass('pipelines')
    expect(await owners()).toStrictEqual(['anna f', 'ben f'])
    expect((await at.db.query('select from hubspot.owners')).rowCount).toBe(122)
    expect(await stages()).toHaveLength(11)
    expect(await stages()).toContain('deals default Closed Won t 1.0')
    expect(await stages()).toContain('tickets 0 Closed t CLOSED')
    portal.owners.change(anna?.id ?? 0, { archived: true })
    portal.owners.remove(ben?.id ?? 0)
    portal.pipelines.put('deals', { id: 'second', label: 'Renewals', stages: [] })
    portal.editPipeline('deals', 'closedwon', 'Won')
    await at.pass('owners')
    await at.pass('pipelines')
    expect(await owners()).toStrictEqual(['anna t'])
    expect(await stages()).toContain('deals default Won t 1.0')
    expect(await lines(at, 'object_type, id) as line from hubspot.pipelines')).toStrictEqual([
      'deals default',
      'deals second',
      'tickets 0',
    ])
    for (const { id } of portal.pipelines.of('tickets')) portal.pipelines.remove('tickets', id)
    await expect(at.pass('pipelines')).rejects.toMatchObject({ code: 'HUBSPOT_EMPTY_LIST' })
    expect(await stages()).toHaveLength(11)
  })
})

describe('calculated properties', () => {
  const counted = defineTable({
    name: 'hubspot.companies',
    key: 'id',
    columns: { id: bigint().notNull(), num_associated_contacts: number(), hs_lastmodifieddate: timestamp() },
  })

  it('arrive although no modification time moved', async () => {
    const portal = portalWithMachines()
    await using at = await setUpHubspot({ portal, companies: counted })
    await at.pass('companies')
    at.clock.advance(600_000)
    await at.pass('companies')
    portal.create('contacts', {}, { id: 51 })
    portal.associate('companies', 1, 'contacts', 51)
    at.clock.advance(600_000)
    expect((await at.pass('companies')).written).toBe(0)
    expect((await at.pass('companies_calculated')).written).toBe(1)
    const counts = await lines(at, 'id, num_associated_contacts) as line from hubspot.companies')
    expect(counts).toStrictEqual(['1 1', '2 0', '3 0'])
    expect((await at.pass('companies_calculated')).written).toBe(0)
  })

  it('cost no call where none is declared', async () => {
    await using at = await setUpHubspot({ portal: portalWithMachines() })
    await at.pass('companies')
    const before = at.simulator.counters().calls
    await at.pass('companies_calculated')
    expect(at.simulator.counters().calls).toBe(before)
  })
})

describe('read on demand', () => {
  it('by id, since a time and from the start, with what is gone; a dry run writes nothing', async () => {
    await using at = await setUpHubspot()
    const { portal, clock } = at
    for (let id = 1; id <= 9; id += 1) portal.create('companies', { name: `Company ${id}` }, { id })
    await at.pass('companies')
    const companies = stream(at, 'companies')
    clock.advance(600_000)
    portal.edit('companies', 1, { name: 'Renamed' })
    portal.archive('companies', 2)
    portal.privacyDelete('companies', 3)
    const { id: merged } = portal.merge('companies', 4, 5)
    const keys = [1, 2, 3, 4].map((id) => ({ id: String(id) }))
    // Renamed, archived, erased, the merged one and both it was made of.
    expect((await readKeys(at.run, companies, at.book, keys, true)).written).toBe(6)
    expect((await readKeys(at.run, companies, at.book, keys)).written).toBe(6)
    expect((await readKeys(at.run, companies, at.book, keys)).written).toBe(0)
    clock.advance(120_000)
    portal.edit('companies', 6, { name: 'Since' })
    clock.advance(120_000)
    const since = { kind: 'since', ms: T0 + 700_000 } as const
    expect((await syncStream(at.run, companies, at.book, since, true)).written).toBe(1)
    expect((await syncStream(at.run, companies, at.book, since)).written).toBe(1)
    portal.privacyDelete('companies', 9)
    portal.archive('companies', merged)
    portal.edit('companies', 7, { name: 'Full' })
    const full = { kind: 'full' } as const
    expect((await syncStream(at.run, companies, at.book, full, true)).written).toBe(3)
    expect((await syncStream(at.run, companies, at.book, full)).written).toBe(3)
    const { rows } = await at.db.query<{ id: string }>('select id::text from hubspot.companies order by id')
    expect(rows.map(({ id }) => Number(id))).toStrictEqual([...portal.live('companies')].map(({ id }) => id))
  })
})
