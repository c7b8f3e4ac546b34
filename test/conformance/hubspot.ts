/** HubSpot's connector against the simulated portal, as the kit wants it: every kind of stream it has, few records of most. */
import { hubspot } from '../../connectors/hubspot/index.ts'
import type { ConformanceSpec, Fixture, Truth } from '../../src/conformance/index.ts'
import { bigint, defineTable, integer, json, number, text, timestamp } from '../../src/define/index.ts'
import { PORTAL_ID, Portal, SimulatorClock, startSimulator } from '../simulator/index.ts'
import { property } from '../simulator/schema.ts'

const companies = defineTable({
  name: 'hubspot.companies',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    numberofemployees: number(),
    hs_lastmodifieddate: timestamp(),
    raw: json(),
  },
})

const machines = defineTable({
  name: 'hubspot.machines',
  key: 'id',
  columns: { id: bigint().notNull(), serial: text(), hs_lastmodifieddate: timestamp(), raw: json() },
})
const companyMachines = defineTable({
  name: 'hubspot.company_machines',
  key: ['company_id', 'machine_id', 'category', 'type_id'],
  columns: {
    company_id: bigint().notNull(),
    machine_id: bigint().notNull(),
    category: text().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})
const MACHINES = 'p12345678_machines'

const APP = 'kit-app'

/** Types that come and go together, in the order of the deeds. */
const TYPES = ['companies', 'tickets', MACHINES]

function truthOf(portal: Portal): Truth {
  const rows = (type: string, columns: readonly string[]) =>
    [...portal.live(type)].map(({ id, properties }) => ({
      id: BigInt(id),
      ...Object.fromEntries(columns.map((name) => [name, properties[name]?.replaceAll('\0', '\uFFFD') ?? null])),
    }))
  const edges = (to: string, column: string) =>
    [...portal.edges.all()].flatMap((edge) => {
      const [companyId, otherId] = edge.from === 'companies' ? [edge.fromId, edge.toId] : [edge.toId, edge.fromId]
      if ((edge.from === 'companies' ? edge.to : edge.from) !== to) return []
      if (portal.get('companies', companyId) === undefined || portal.get(to, otherId) === undefined) return []
      const [, types = []] = portal.edges.of('companies', companyId, to).find(([id]) => id === otherId) ?? []
      return types.map(({ category, typeId, label }) => ({
        company_id: BigInt(companyId),
        [column]: BigInt(otherId),
        category,
        type_id: typeId,
        label,
      }))
    })
  return {
    'hubspot.companies': rows('companies', ['name', 'numberofemployees']),
    'hubspot.contacts': rows('contacts', ['email']),
    'hubspot.tickets': rows('tickets', ['subject', 'hs_pipeline_stage']),
    'hubspot.machines': rows(MACHINES, ['serial']),
    'hubspot.company_contacts': edges('contacts', 'contact_id'),
    'hubspot.company_tickets': edges('tickets', 'ticket_id'),
    'hubspot.company_machines': edges(MACHINES, 'machine_id'),
    'hubspot.owners': portal.owners.all().map(({ id, email, archived }) => ({ id: BigInt(id), email, archived })),
    'hubspot.pipelines': ['deals', 'tickets'].flatMap((type) =>
      portal.pipelines.of(type).map(({ id, label }) => ({ object_type: type, id, label })),
    ),
  }
}

async function fixture({ secret }: { readonly secret: string }): Promise<Fixture> {
  const clock = SimulatorClock.frozenAt(Date.UTC(2026, 5, 1))
  const portal = new Portal({ clock })
  portal.defineObject({ name: 'machines', properties: [property('serial', 'string')] })
  const label = portal.edges.define('companies', 'contacts', 'Pays')
  for (const firstName of ['Anna', 'Ben']) {
    portal.owners.add({ firstName, lastName: 'Owner', email: `${firstName.toLowerCase()}@x.example` })
  }
  const create = (count: number, isSameInstant: boolean) => {
    for (let made = 0; made < count; made += 1) {
      if (!isSameInstant) clock.advance(1)
      const { id } = portal.create('companies', { name: `Company ${made}`, numberofemployees: made })
      if (made % 50 !== 0) continue
      const contact = portal.create('contacts', { email: `person${id}@x.example` })
      portal.associate('companies', id, 'contacts', contact.id)
      portal.associate('companies', id, 'contacts', contact.id, label, 'USER_DEFINED')
      const ticket = portal.create('tickets', { subject: `Help ${id}`, hs_pipeline: '0', hs_pipeline_stage: '1' })
      portal.associate('companies', id, 'tickets', ticket.id)
      portal.associate(MACHINES, portal.create(MACHINES, { serial: `M-${id}` }).id, 'companies', id)
    }
  }
  create(250, false)
  clock.advance(600_000)
  const simulator = await startSimulator({
    portal,
    token: secret,
    app: { clientId: APP, clientSecret: secret },
    rateLimits: false,
  })
  const ids = (type = 'companies') => [...portal.live(type)].map(({ id }) => id)
  let edits = 0
  let removed: readonly (readonly [type: string, id: number])[] = []
  return {
    url: simulator.url,
    clock,
    truth: () => truthOf(portal),
    create: (count, { sameInstant = false } = {}) => create(count, sameInstant),
    change(count) {
      const live = ids()
      for (let done = 0; done < count && live.length > 0; done += 1) {
        edits += 1
        const id = live[(edits * 37) % live.length]
        if (id !== undefined) portal.edit('companies', id, { numberofemployees: 1_000 + edits })
      }
      const [ticket] = ids('tickets')
      if (ticket !== undefined) portal.edit('tickets', ticket, { hs_pipeline_stage: String(1 + (edits % 4)) })
    },
    remove(count) {
      removed = [...ids().slice(0, count), ...ids('tickets').slice(0, 1), ...ids(MACHINES).slice(0, 1)].map((id) => [
        TYPES.find((type) => portal.records(type).get(id) !== undefined) ?? '',
        id,
      ])
      for (const [type, id] of removed) portal.archive(type, id)
    },
    restore() {
      for (const [type, id] of removed) portal.restore(type, id)
    },
    merge() {
      for (const type of TYPES) {
        const [first = 0, second = 0] = ids(type)
        portal.merge(type, first, second)
      }
    },
    erase() {
      for (const type of ['tickets', MACHINES]) portal.privacyDelete(type, ids(type)[0] ?? 0)
      const erased = ids().at(-1) ?? 0
      portal.privacyDelete('companies', erased)
      return String(erased)
    },
    oddValues() {
      portal.create('companies', { name: 'NUL \0 in it', numberofemployees: '9007199254740993' })
      portal.create('companies', { name: '🚀 Zürich 東京', numberofemployees: 1 })
      portal.create('companies', { name: 'ä'.repeat(1_000_000), numberofemployees: 2 })
    },
    expireToken: () => simulator.expireTokens(),
    async [Symbol.asyncDispose]() {
      await simulator.close()
      if (simulator.errors.length > 0) throw new AggregateError(simulator.errors, 'The simulator itself failed.')
    },
  }
}

export const hubspotSpec: ConformanceSpec = {
  name: 'hubspot',
  connector: ({ url, secret }) =>
    hubspot({
      accessToken: secret,
      baseUrl: url,
      companies,
      tickets: true,
      objects: { [MACHINES]: machines },
      associations: [{ from: 'companies', to: MACHINES, table: companyMachines }],
      owners: true,
      pipelines: true,
      // Its app has the kit's secret too.
      journal: { clientId: APP, clientSecret: secret, portalId: PORTAL_ID },
      history: [],
      sweepEveryMs: 3_600_000,
      callsPer10s: 20,
      searchesPerSecond: 4,
    }),
  fixture,
  earlierStates: {
    companies: { version: 1, state: { phase: 'load', startedMs: Date.UTC(2026, 5, 1), after: null, done: 0 } },
    companies_sweep: { version: 1, state: { endedMs: Date.UTC(2026, 5, 1), after: null, lastId: null } },
  },
  budgetOf: (_, path) => {
    if (/^\/(oauth|webhooks-journal|journal-files)/.test(path)) return 'journal'
    return path.split('?')[0]?.endsWith('/search') === true ? 'search' : 'burst'
  },
}
