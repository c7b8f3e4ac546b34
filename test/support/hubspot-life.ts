/** A small portal of five object types, one of each thing that can happen in it, and whether the tables say the same. */
import { expect } from 'vitest'
import { bigint, defineTable, integer, text, timestamp } from '../../src/define/index.ts'
import { Portal, SimulatorClock } from '../simulator/index.ts'
import { property } from '../simulator/schema.ts'
import {
  expectedRows,
  type HubspotSetUp,
  rowsOf,
  type SetUpOptions,
  SMALL_TABLES,
  setUpHubspot,
  T0,
} from './hubspot.ts'

export const MACHINES = 'p12345678_machines'
const machines = defineTable({
  name: 'hubspot.machines',
  key: 'id',
  columns: { id: bigint().notNull(), serial: text(), hs_lastmodifieddate: timestamp() },
})
const tickets = defineTable({
  name: 'hubspot.tickets',
  key: 'id',
  columns: { id: bigint().notNull(), subject: text(), hs_lastmodifieddate: timestamp() },
})
const machineTickets = defineTable({
  name: 'hubspot.machine_tickets',
  key: ['machine_id', 'ticket_id', 'category', 'type_id'],
  columns: {
    machine_id: bigint().notNull(),
    ticket_id: bigint().notNull(),
    category: text().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})
const TABLES = { ...SMALL_TABLES, tickets, [MACHINES]: machines }
const NAMES: Readonly<Record<string, string>> = {
  companies: 'name',
  contacts: 'email',
  deals: 'dealname',
  tickets: 'subject',
  [MACHINES]: 'serial',
}

export async function setUpLively(options: SetUpOptions = {}): Promise<HubspotSetUp> {
  const portal = new Portal({ clock: SimulatorClock.frozenAt(T0), indexLag: 0 })
  portal.defineObject({ name: 'machines', properties: [property('serial', 'string')] })
  for (const [type, name] of Object.entries(NAMES)) {
    for (let made = 1; made <= 12; made += 1) portal.create(type, { [name]: `${type} ${made}` })
  }
  return setUpHubspot({
    portal,
    tickets,
    objects: { [MACHINES]: machines },
    associations: [{ from: MACHINES, to: 'tickets', table: machineTickets }],
    ...options,
  })
}

let lives = 0

/** One of each thing that can happen, to every type; no time passes. */
export function live({ portal }: HubspotSetUp): void {
  lives += 1
  for (const [type, name] of Object.entries(NAMES)) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = [...portal.live(type)].map(({ id }) => id)
    portal.create(type, { [name]: 'new' })
    portal.edit(type, a, { [name]: `edited ${lives}` })
    portal.archive(type, b)
    portal.merge(type, c, d)
    portal.privacyDelete(type, e)
    portal.archive(type, f)
    portal.restore(type, f)
  }
}

export const ids = (at: HubspotSetUp, type: string) => [...at.portal.live(type)].map(({ id }) => id)

/** One label more, one less, and an association of each kind of pair. */
export function relate(at: HubspotSetUp): void {
  const { portal } = at
  const [company = 0, other = 0] = ids(at, 'companies')
  const [contact = 0] = ids(at, 'contacts')
  const [deal = 0] = ids(at, 'deals')
  const [ticket = 0] = ids(at, 'tickets')
  const [machine = 0] = ids(at, MACHINES)
  portal.associate('companies', company, 'contacts', contact)
  portal.associate('companies', company, 'contacts', contact, 2)
  portal.associate('companies', other, 'contacts', contact)
  portal.dissociate('companies', other, 'contacts', contact)
  portal.associate('deals', deal, 'companies', company)
  portal.associate('tickets', ticket, 'companies', company)
  portal.associate(MACHINES, machine, 'tickets', ticket)
}

export async function expectSameRecords(at: HubspotSetUp): Promise<void> {
  for (const [type, table] of Object.entries(TABLES)) {
    expect(await rowsOf(at, table)).toStrictEqual(expectedRows(at.portal, type, table))
  }
}

export async function expectSame(at: HubspotSetUp): Promise<void> {
  await expectSameRecords(at)
  const { rows } = await at.db.query<{ edge: string }>(
    `select concat_ws(' ', 'contacts', company_id, contact_id, type_id) as edge from hubspot.company_contacts
     union all select concat_ws(' ', 'deals', company_id, deal_id, type_id) from hubspot.company_deals
     union all select concat_ws(' ', 'tickets', company_id, ticket_id, type_id) from hubspot.company_tickets
     union all select concat_ws(' ', 'machines', machine_id, ticket_id, type_id) from hubspot.machine_tickets`,
  )
  const of = (from: string, to: string, name: string) =>
    ids(at, from).flatMap((id) =>
      at.portal.edges
        .of(from, id, to)
        .flatMap(([other, types]) => types.map(({ typeId }) => `${name} ${id} ${other} ${typeId}`)),
    )
  const expected = [
    ...of('companies', 'contacts', 'contacts'),
    ...of('companies', 'deals', 'deals'),
    ...of('companies', 'tickets', 'tickets'),
    ...of(MACHINES, 'tickets', 'machines'),
  ]
  expect(rows.map(({ edge }) => edge).sort()).toStrictEqual(expected.sort())
}

export async function loadAll(at: HubspotSetUp): Promise<void> {
  for (const type of Object.keys(TABLES)) await at.pass(type)
  await expectSame(at)
}
