/** The connector end to end: what it reads lands in PostgreSQL as the portal has it, whatever happens in the portal. */
import { describe, expect, it } from 'vitest'
import { sourceContext } from '../../src/connect/context.ts'
import { runPass } from '../../src/connect/pass.ts'
import { runConnector } from '../../src/connect/runner.ts'
import { bigint, defineTable, json, number, text } from '../../src/define/index.ts'
import { type Portal, SimulatorClock, seedPortal } from '../../test/simulator/index.ts'
import { expectedRows, type HubspotSetUp, rowsOf, SMALL_TABLES, setUpHubspot, T0 } from '../../test/support/hubspot.ts'
import { companies, contacts, DEFAULT_HISTORY, deals, tickets } from './index.ts'

function fill(portal: Portal, count: number): void {
  for (let id = 1; id <= count; id += 1) {
    portal.create('companies', { name: `Company ${id}`, numberofemployees: id }, { id })
  }
}

async function expectSame(at: HubspotSetUp, type: keyof typeof SMALL_TABLES = 'companies'): Promise<void> {
  const table = SMALL_TABLES[type]
  expect(await rowsOf(at, table)).toStrictEqual(expectedRows(at.portal, type, table))
}

const FULL = { companies, contacts, deals, tickets, owners: true, pipelines: true, history: undefined } as const

describe('hubspot', () => {
  it.each(['2026-09', '2026-03', 'v3'])('lands a whole portal as it is, read by version %s', async (apiVersion) => {
    const portal = seedPortal({ seed: 5, companies: 60, clock: SimulatorClock.frozenAt(T0) })
    await using at = await setUpHubspot({ ...FULL, portal, apiVersion })
    for (const { name } of at.connector.streams) await at.pass(name)
    for (const [type, table] of Object.entries({ companies, contacts, deals, tickets })) {
      expect(await rowsOf(at, table)).toStrictEqual(expectedRows(portal, type, table))
    }
    const edges = await at.db.query<{ edge: string }>(
      `select concat_ws(' ', 'companies', company_id, 'contacts', contact_id, type_id) as edge from hubspot.company_contacts
       union all select concat_ws(' ', 'companies', company_id, 'deals', deal_id, type_id) from hubspot.company_deals
       union all select concat_ws(' ', 'deals', deal_id, 'contacts', contact_id, type_id) from hubspot.deal_contacts
       union all select concat_ws(' ', 'companies', company_id, 'tickets', ticket_id, type_id) from hubspot.company_tickets`,
    )
    const expected = [...portal.edges.all()].map(({ from, fromId, to, toId, typeId }) =>
      [from, fromId, to, toId, typeId].join(' '),
    )
    expect(edges.rows.map(({ edge }) => edge).sort()).toStrictEqual(expected.sort())
    const versions = await at.db.query<{ version: string }>(
      `select concat_ws('|', company_id, property, floor(extract(epoch from changed_at) * 1000), value, source_type) as version
       from hubspot.company_property_history`,
    )
    const kept = [...portal.live('companies')].flatMap((company) =>
      DEFAULT_HISTORY.flatMap((property) =>
        (company.history.get(property) ?? []).map(({ value, atMs, source }) =>
          [company.id, property, atMs, value, source].join('|'),
        ),
      ),
    )
    expect(versions.rows.map(({ version }) => version).sort()).toStrictEqual(kept.sort())
    expect(await at.connector.check(sourceContext(at.run, at.book, 'check'))).toStrictEqual([])
  })

  it('loads everything, follows edits, and a second look writes nothing', async () => {
    await using at = await setUpHubspot()
    fill(at.portal, 250)
    await at.pass('companies')
    await expectSame(at)
    at.clock.advance(30_000)
    at.portal.edit('companies', 17, { name: 'Renamed', numberofemployees: null })
    at.portal.create('companies', { name: 'New', numberofemployees: 3 }, { id: 9_000 })
    expect((await at.pass('companies')).written).toBe(2)
    await expectSame(at)
    at.clock.advance(120_000)
    expect((await at.pass('companies')).written).toBe(0)
  })

  it('resumes after a crash at every checkpoint of the load and ends with the same table', async () => {
    await using at = await setUpHubspot()
    fill(at.portal, 420)
    let crashes = 0
    const stream = at.connector.streams[0]
    if (stream === undefined) throw new Error('no stream')
    for (let crashed = true; crashed; ) {
      crashed = false
      let landed = 0
      const afterLand = () => {
        landed += 1
        if (landed === 1 && crashes < 5) throw new Error('crash')
      }
      await runPass({ ...at.run, faults: { afterLand } }, stream, at.book).catch(() => {
        crashes += 1
        crashed = true
      })
    }
    expect(crashes).toBe(5)
    await expectSame(at)
  })

  it('removes archived and erased records, brings restored ones back, keeps the alias of merged ones', async () => {
    await using at = await setUpHubspot({ sweepEveryMs: 1_000 })
    fill(at.portal, 20)
    await at.pass('companies')
    await at.pass('companies_sweep')
    at.portal.archive('companies', 3)
    await at.pass('companies_archived')
    await expectSame(at)
    at.portal.privacyDelete('companies', 7)
    at.portal.restore('companies', 3)
    at.clock.advance(5_000)
    await at.pass('companies_sweep')
    await expectSame(at)
    const { id } = at.portal.merge('companies', 10, 11)
    const last = at.portal.merge('companies', id, 12)
    at.clock.advance(5_000)
    await at.pass('companies')
    await expectSame(at)
    const { rows } = await at.db.query('select old_key, new_key from rescore.alias order by old_key::bigint')
    expect(rows).toStrictEqual([10, 11, 12, id].map((old) => ({ old_key: String(old), new_key: String(last.id) })))
  })

  it('follows associations that no modification time tells of, through every page', async () => {
    await using at = await setUpHubspot()
    fill(at.portal, 3)
    const people = Array.from({ length: 5 }, (_, n) => at.portal.create('contacts', { email: `p${n}@x.example` }).id)
    const [first = 0, second = 0] = people
    for (const id of people) at.portal.associate('companies', 1, 'contacts', id)
    at.portal.associate('companies', 1, 'contacts', first, 2)
    at.portal.associate('companies', 2, 'contacts', first)
    const expectEdges = async () => {
      const { rows } = await at.db.query<{ edge: string }>(
        `select concat_ws(':', company_id, contact_id, type_id, label) as edge from hubspot.company_contacts
         order by company_id, contact_id, type_id`,
      )
      const expected = [...at.portal.edges.all()].map((edge) => ({
        edge: [edge.fromId, edge.toId, edge.typeId, ...(edge.typeId === 2 ? ['Primary'] : [])].join(':'),
      }))
      const byEdge = (left: { edge: string }, right: { edge: string }) => (left.edge < right.edge ? -1 : 1)
      expect(rows.sort(byEdge)).toStrictEqual(expected.sort(byEdge))
    }
    await at.pass('companies_associations')
    await at.pass('companies')
    await expectEdges()
    // A contact moves from one company to another; no record is touched.
    at.portal.dissociate('companies', 1, 'contacts', second)
    at.portal.associate('companies', 3, 'contacts', second)
    at.portal.dissociate('companies', 2, 'contacts', first)
    await at.pass('companies_associations')
    await expectEdges()
  })

  it('keeps values that fit no column beside the row, and the neighbours go through', async () => {
    const table = defineTable({
      name: 'hubspot.companies',
      key: 'id',
      columns: { id: bigint().notNull(), name: text(), numberofemployees: number(), description: text(), raw: json() },
    })
    await using at = await setUpHubspot({ companies: table })
    const long = 'ä'.repeat(1_000_000)
    at.portal.create('companies', { name: 'Wrong type', numberofemployees: 'many' }, { id: 1 })
    at.portal.create('companies', { name: 'NUL a\0b' }, { id: 2 })
    at.portal.create('companies', { name: 'Big', numberofemployees: '9007199254740993' }, { id: 3 })
    at.portal.create('companies', { name: 'Long', description: long }, { id: 4 })
    at.portal.create('companies', { name: '🚀 Zürich 東京', numberofemployees: '1e2' }, { id: 5 })
    await at.pass('companies')
    const { rows } = await at.db.query(
      'select id::text, name, numberofemployees::text as n, description, raw from hubspot.companies order by id',
    )
    expect(rows).toStrictEqual([
      { id: '1', name: 'Wrong type', n: null, description: null, raw: { numberofemployees: 'many' } },
      { id: '2', name: 'NUL a\uFFFDb', n: null, description: null, raw: { name: 'NUL a\\u0000b' } },
      { id: '3', name: 'Big', n: '9007199254740993', description: null, raw: null },
      { id: '4', name: 'Long', n: null, description: long, raw: null },
      { id: '5', name: '🚀 Zürich 東京', n: '100', description: null, raw: null },
    ])
    expect((await at.db.query('select from rescore.reject')).rowCount).toBe(0)
  })

  it('names a misspelt property with its near matches, and a column of the wrong type', async () => {
    const misspelt = defineTable({
      name: 'hubspot.companies',
      key: 'id',
      columns: { id: bigint().notNull(), numberofemployes: number(), name: number() },
    })
    await using at = await setUpHubspot({ companies: misspelt })
    const problems = await at.connector.check(sourceContext(at.run, at.book, 'check'))
    expect(problems.map(({ code }) => code)).toStrictEqual(['HUBSPOT_UNKNOWN_PROPERTY', 'HUBSPOT_PROPERTY_TYPE'])
    expect(problems[0]?.message).toContain("Did you mean 'numberofemployees'")
  })

  it('stops at a wrong token, without repeating it or showing it', async () => {
    await using at = await setUpHubspot({ accessToken: 'pat-wrong-secret' })
    const error: Error = await runConnector(at.run).then(
      () => new Error('ran'),
      (thrown) => thrown,
    )
    expect(error).toMatchObject({ name: 'SourceError', code: 'HUBSPOT_UNAUTHORIZED' })
    expect(`${error.message} ${error.stack}`).not.toContain('pat-wrong-secret')
    const { rows } = await at.db.query('select stage, last_error from rescore.stage_status')
    expect(rows[0]?.stage).toBe('connect:hubspot')
    expect(JSON.stringify(rows)).not.toContain('pat-wrong-secret')
  })
})
