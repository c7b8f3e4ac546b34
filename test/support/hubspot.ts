/**
 * The HubSpot connector beside a simulated portal and a database of its own, on one clock that stands still until moved.
 * Invariant: nothing waits in real time: a repeat, a closed budget and a rate limit move the clock instead.
 */
import { type HubspotOptions, hubspot } from '../../connectors/hubspot/index.ts'
import { jumpingBudgets } from '../../src/conformance/jumping.ts'
import type { BudgetBook } from '../../src/connect/budget.ts'
import type { Landed } from '../../src/connect/landing.ts'
import type { RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { bigint, type Connector, defineTable, number, type Table, text, timestamp } from '../../src/define/index.ts'
import { type IndexLag, Portal, type Simulator, SimulatorClock, startSimulator } from '../simulator/index.ts'
import { createTestDatabase, type TestDatabase } from './pg.ts'

export const T0 = Date.parse('2026-06-01T00:00:00Z')
export const TOKEN = 'pat-secret-0123456789'

/** Few columns, so that a test can hold every one against the portal. */
export const SMALL_TABLES = {
  companies: defineTable({
    name: 'hubspot.companies',
    key: 'id',
    columns: { id: bigint().notNull(), name: text(), numberofemployees: number(), hs_lastmodifieddate: timestamp() },
  }),
  contacts: defineTable({
    name: 'hubspot.contacts',
    key: 'id',
    columns: { id: bigint().notNull(), email: text(), lastmodifieddate: timestamp() },
  }),
  deals: defineTable({
    name: 'hubspot.deals',
    key: 'id',
    columns: { id: bigint().notNull(), dealname: text(), hs_lastmodifieddate: timestamp() },
  }),
}

export interface HubspotSetUp extends AsyncDisposable {
  readonly portal: Portal
  readonly clock: SimulatorClock
  readonly simulator: Simulator
  readonly db: TestDatabase
  readonly connector: Connector
  readonly run: RunConnectorOptions
  readonly book: BudgetBook
  readonly warnings: readonly string[]
  /** One pass of the stream with this name. */
  pass(stream: string): Promise<Landed>
}

export interface SetUpOptions extends Partial<HubspotOptions> {
  readonly portal?: Portal
  readonly indexLag?: IndexLag | 0
}

export async function setUpHubspot(options: SetUpOptions = {}): Promise<HubspotSetUp> {
  const { portal = new Portal({ clock: SimulatorClock.frozenAt(T0) }), indexLag = 0, ...hubspotOptions } = options
  const { clock } = portal
  const db = await createTestDatabase('hubspot')
  const simulator = await startSimulator({ portal, indexLag, token: TOKEN, rateLimits: false, associationPage: 2 })
  const connector = hubspot({
    accessToken: TOKEN,
    baseUrl: simulator.url,
    ...SMALL_TABLES,
    history: [],
    callsPer10s: 100_000,
    searchesPerSecond: 10_000,
    ...hubspotOptions,
  })
  const warnings: string[] = []
  const book = jumpingBudgets(clock)
  const run: RunConnectorOptions = {
    pool: db.pool,
    connector,
    signal: new AbortController().signal,
    clock,
    budgets: book,
    waiting: { sleep: async (ms) => clock.advance(Math.ceil(ms)), random: () => 0.5 },
    log: { info: () => undefined, warn: (fields, message) => void warnings.push(JSON.stringify(fields) + message) },
  }
  await prepareConnector(run)
  const dispose = async () => {
    await simulator.close()
    await db[Symbol.asyncDispose]()
    if (simulator.errors.length > 0) throw new AggregateError(simulator.errors, 'The simulator itself failed.')
  }
  const pass = (name: string) => {
    const stream = connector.streams.find((candidate) => candidate.name === name)
    if (stream === undefined) throw new Error(`no stream ${name}`)
    return runPass(run, stream, book)
  }
  return { portal, clock, simulator, db, connector, run, book, warnings, pass, [Symbol.asyncDispose]: dispose }
}

/** SQL that gives each column as text that plain JavaScript can make too. */
function columnText(name: string, kind: string): string {
  if (kind === 'timestamp') return `floor(extract(epoch from "${name}") * 1000)::bigint::text as "${name}"`
  return `"${name}"::text as "${name}"`
}

type Row = Readonly<Record<string, string | null>>

/** The rows of a table, id ascending, without `raw`. */
export async function rowsOf({ db }: HubspotSetUp, table: Table): Promise<readonly Row[]> {
  const columns = Object.entries(table.columns).filter(([name]) => name !== 'raw')
  const list = columns.map(([name, { kind }]) => columnText(name, kind)).join(', ')
  const { rows } = await db.query<Row>(`select ${list} from ${table.id} t order by t.id`)
  return rows
}

/** What the table must hold, told by the portal itself. */
export function expectedRows(portal: Portal, type: string, table: Table): readonly Row[] {
  const columns = Object.entries(table.columns).filter(([name]) => name !== 'raw')
  return [...portal.live(type)].map((record) => {
    const own: Readonly<Record<string, string>> = {
      id: String(record.id),
      createdate: String(record.createdMs),
      hs_createdate: String(record.createdMs),
      hs_lastmodifieddate: String(record.modifiedMs),
      lastmodifieddate: String(record.modifiedMs),
    }
    return Object.fromEntries(
      columns.map(([name, { kind }]) => {
        const value = record.properties[name]
        if (own[name] !== undefined || value === undefined) return [name, own[name] ?? null]
        return [name, kind === 'timestamp' ? String(Date.parse(value)) : value]
      }),
    )
  })
}
