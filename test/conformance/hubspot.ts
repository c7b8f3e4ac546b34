/** HubSpot's connector against the simulated portal, as the kit wants it. */
import { hubspot } from '../../connectors/hubspot/index.ts'
import type { ConformanceSpec, Fixture } from '../../src/conformance/index.ts'
import { bigint, defineTable, json, number, text, timestamp } from '../../src/define/index.ts'
import { Portal, SimulatorClock, startSimulator } from '../simulator/index.ts'

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

async function fixture({ secret }: { readonly secret: string }): Promise<Fixture> {
  const clock = SimulatorClock.frozenAt(Date.UTC(2026, 5, 1))
  const portal = new Portal({ clock })
  const create = (count: number, isSameInstant: boolean) => {
    for (let made = 0; made < count; made += 1) {
      if (!isSameInstant) clock.advance(1)
      const { id } = portal.create('companies', { name: `Company ${made}`, numberofemployees: made })
      if (made % 50 !== 0) continue
      const contact = portal.create('contacts', { email: `person${id}@x.example` })
      portal.associate('companies', id, 'contacts', contact.id)
    }
  }
  create(250, false)
  clock.advance(600_000)
  const simulator = await startSimulator({ portal, token: secret, rateLimits: false })
  const ids = () => [...portal.live('companies')].map(({ id }) => id)
  let edits = 0
  let removed: readonly number[] = []
  return {
    url: simulator.url,
    clock,
    truth: () => ({
      'hubspot.companies': [...portal.live('companies')].map(({ id, properties }) => ({
        id: BigInt(id),
        name: (properties.name ?? '').replaceAll('\0', '\uFFFD'),
        numberofemployees: properties.numberofemployees ?? null,
      })),
      'hubspot.company_contacts': [...portal.edges.all()]
        .filter(
          ({ fromId, toId }) =>
            portal.get('companies', fromId) !== undefined && portal.get('contacts', toId) !== undefined,
        )
        .map(({ fromId, toId, typeId }) => ({ company_id: BigInt(fromId), contact_id: BigInt(toId), type_id: typeId })),
    }),
    create: (count, { sameInstant = false } = {}) => create(count, sameInstant),
    change(count) {
      const live = ids()
      for (let done = 0; done < count && live.length > 0; done += 1) {
        edits += 1
        const id = live[(edits * 37) % live.length]
        if (id !== undefined) portal.edit('companies', id, { numberofemployees: 1_000 + edits })
      }
    },
    remove(count) {
      removed = ids().slice(0, count)
      for (const id of removed) portal.archive('companies', id)
    },
    restore() {
      for (const id of removed) portal.restore('companies', id)
    },
    merge() {
      const [first = 0, second = 0] = ids()
      portal.merge('companies', first, second)
    },
    erase() {
      const [id = 0] = ids()
      portal.privacyDelete('companies', id)
      return String(id)
    },
    oddValues() {
      portal.create('companies', { name: 'NUL \0 in it', numberofemployees: '9007199254740993' })
      portal.create('companies', { name: '🚀 Zürich 東京', numberofemployees: 1 })
      portal.create('companies', { name: 'ä'.repeat(1_000_000), numberofemployees: 2 })
    },
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
      history: [],
      sweepEveryMs: 3_600_000,
      callsPer10s: 20,
      searchesPerSecond: 4,
    }),
  fixture,
  budgetOf: (_, path) => (path.split('?')[0]?.endsWith('/search') === true ? 'search' : 'burst'),
}
