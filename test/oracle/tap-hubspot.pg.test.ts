/**
 * Two clients that others wrote read the portal our connector reads: HubSpot's own (@hubspot/api-client) and a Singer tap
 * (tap-hubspot of singer-io, from PyPI). All three must see the same records with the same values, and see what the portal
 * itself says it holds, so that neither our connector nor the simulator is right only by its own lights.
 *
 * They may differ in this and nothing else:
 * - how a value is written: a time as ISO text or as milliseconds, no value as null, as '' or by leaving it out;
 * - the tap takes numbers for doubles, so that 2^53 + 1 comes rounded from it, and from it alone;
 * - a record that is archived or merged away after the tap has read it stays with the tap, which never hears of it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Client } from '@hubspot/api-client'
import { describe, expect, test } from 'vitest'
import { singer } from '../../connectors/singer/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import { isSourceError, type RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import {
  bigint,
  boolean,
  type Connector,
  defineTable,
  number,
  type Table,
  text,
  timestamp,
} from '../../src/define/index.ts'
import { type Portal, SimulatorClock, seedPortal } from '../simulator/index.ts'
import { whyNoPython } from '../singer/python.ts'
import { expectedRows, type HubspotSetUp, rowsOf, setUpHubspot, T0, TOKEN } from '../support/hubspot.ts'

const TYPES = ['companies', 'contacts', 'deals'] as const
type Type = (typeof TYPES)[number]

const COLUMNS = {
  companies: {
    id: bigint().notNull(),
    name: text(),
    domain: text(),
    description: text(),
    numberofemployees: number(),
    annualrevenue: number(),
    lifecyclestage: text(),
    yc_is_hiring: boolean(),
    yc_tags: text(),
    yc_launched_at: timestamp(),
    hs_merged_object_ids: text(),
    createdate: timestamp(),
    hs_lastmodifieddate: timestamp(),
  },
  contacts: {
    id: bigint().notNull(),
    email: text(),
    firstname: text(),
    lastname: text(),
    jobtitle: text(),
    lifecyclestage: text(),
    associatedcompanyid: number(),
    hs_calculated_merged_vids: text(),
    createdate: timestamp(),
    lastmodifieddate: timestamp(),
  },
  deals: {
    id: bigint().notNull(),
    dealname: text(),
    amount: number(),
    dealstage: text(),
    pipeline: text(),
    closedate: timestamp(),
    hs_is_closed: boolean(),
    hs_is_closed_won: boolean(),
    hs_merged_object_ids: text(),
    createdate: timestamp(),
    hs_lastmodifieddate: timestamp(),
  },
}

const tablesIn = (schema: string) => ({
  companies: defineTable({ name: `${schema}.companies`, key: 'id', columns: COLUMNS.companies }),
  contacts: defineTable({ name: `${schema}.contacts`, key: 'id', columns: COLUMNS.contacts }),
  deals: defineTable({ name: `${schema}.deals`, key: 'id', columns: COLUMNS.deals }),
})
const OURS = tablesIn('hubspot')
const TAPS = tablesIn('tap')

const namesOf = (type: Type) => Object.keys(COLUMNS[type]).filter((name) => name !== 'id')

/** Old paths key a record by a name of its own, and wrap a value. */
const TAP_KEY: Readonly<Record<Type, string>> = { companies: 'companyId', contacts: 'id', deals: 'dealId' }
const tapProperty = (name: string) => `property_${name}`

function tapOf(url: string, folder: string): Connector {
  return singer({
    name: 'tap',
    tap: 'tap-hubspot==4.5.0',
    config: { api_key: TOKEN, start_date: '2015-01-01T00:00:00Z' },
    env: { PYTHONPATH: resolve(import.meta.dirname, 'at_simulator'), HUBSPOT_URL: url, NO_PROXY: '127.0.0.1' },
    folder: join(folder, 'tap'),
    streams: TYPES.map((type) => ({
      stream: type,
      table: TAPS[type],
      select: namesOf(type).map(tapProperty),
      columns: {
        id: TAP_KEY[type],
        ...Object.fromEntries(
          namesOf(type).map((name) => [name, type === 'contacts' ? tapProperty(name) : `${tapProperty(name)}.value`]),
        ),
      },
    })),
  })
}

type Values = Readonly<Record<string, string | null | undefined>>
type Row = Readonly<Record<string, string | null>>

/** The value itself, however it is written. */
function meaning(kind: string, value: string | null | undefined): string | null {
  if (value === null || value === undefined || value === '') return null
  if (kind === 'timestamp') return String(/^-?\d+$/.test(value) ? Number(value) : Date.parse(value))
  return value
}

function meant(table: Table, rows: readonly Values[]): readonly Row[] {
  return rows
    .map((row) =>
      Object.fromEntries(Object.entries(table.columns).map(([name, { kind }]) => [name, meaning(kind, row[name])])),
    )
    .sort((left, right) => Number(left.id) - Number(right.id))
}

/** As a reader has them that takes numbers for doubles. */
function inDoubles(type: Type, rows: readonly Row[]): readonly Row[] {
  const kinds: Table['columns'] = COLUMNS[type]
  const double = (name: string, value: string | null) =>
    kinds[name]?.kind === 'number' && value !== null ? String(Number(value)) : value
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, double(name, value)])))
}

interface Readers {
  /** Each reads what is new, and tells all it knows by then. */
  ours(type: Type): Promise<readonly Row[]>
  official(type: Type): Promise<readonly Row[]>
  tap(type: Type): Promise<readonly Row[]>
}

async function readersOf(at: HubspotSetUp, folder: string): Promise<Readers> {
  const { url } = at.simulator
  const { companies, contacts, deals } = new Client({
    accessToken: TOKEN,
    basePath: url,
    numberOfApiCallRetries: 0,
  }).crm
  const clients = { companies, contacts, deals }
  const connector = tapOf(url, folder)
  const log = { info: () => undefined, warn: () => undefined }
  const run: RunConnectorOptions = { pool: at.db.pool, connector, signal: new AbortController().signal, log }
  await prepareConnector(run)
  return {
    async ours(type) {
      await at.pass(type)
      await at.pass(`${type}_archived`)
      return meant(OURS[type], await rowsOf(at, OURS[type]))
    },
    async official(type) {
      const all = await clients[type].getAll(100, undefined, namesOf(type))
      return meant(
        OURS[type],
        all.map(({ id, properties }) => ({ ...properties, id })),
      )
    },
    async tap(type) {
      const stream = connector.streams.find(({ name }) => name === TAPS[type].name)
      if (stream === undefined) throw new Error(`no stream ${type}`)
      await runPass(run, stream, new BudgetBook())
      return inDoubles(type, meant(TAPS[type], await rowsOf(at, TAPS[type])))
    },
  }
}

/** One of everything that can happen to a record, to each type. @returns ids that are no more */
function happen(portal: Portal): Readonly<Record<Type, readonly number[]>> {
  const turn = (type: Type, edits: Parameters<Portal['edit']>[2]) => {
    const [edited = 0, archived = 0, first = 0, second = 0, back = 0] = [...portal.live(type)].map(({ id }) => id)
    portal.clock.advance(61_007)
    portal.edit(type, edited, edits)
    portal.archive(type, archived)
    portal.archive(type, back)
    portal.restore(type, back)
    portal.merge(type, first, second)
    portal.create(type, edits)
    return [archived, first, second]
  }
  const ids = {
    companies: turn('companies', {
      name: 'Blåbær "AS" 🫐, \\ and sons',
      numberofemployees: 41,
      annualrevenue: '9007199254740993',
      description: null,
      yc_is_hiring: true,
      yc_launched_at: T0 - 123,
    }),
    contacts: turn('contacts', { email: 'zoë@blåbær.example', jobtitle: '', associatedcompanyid: 1_020 }),
    deals: turn('deals', { amount: '0.1', dealstage: 'closedwon', closedate: T0 + 7 }),
  }
  portal.clock.advance(120_000)
  return ids
}

const told = (portal: Portal, type: Type) => meant(OURS[type], expectedRows(portal, type, OURS[type]))

describe.skipIf(whyNoPython !== undefined)('one portal, read by three', () => {
  test('the official client, a Singer tap and our connector see the same records with the same values', {
    // A first installation takes its time.
    timeout: 400_000,
  }, async ({ skip }) => {
    const portal = seedPortal({ seed: 11, companies: 60, dealsPerCompany: 2.5, clock: SimulatorClock.frozenAt(T0) })
    happen(portal)
    const folder = await mkdtemp(join(tmpdir(), 'rescore-tap-'))
    try {
      await using at = await setUpHubspot({ portal, ...OURS })
      const { ours, official, tap } = await readersOf(at, folder)
      for (const type of TYPES) {
        const rows = await tap(type).catch((error: unknown) => {
          if (isSourceError(error) && error.code === 'CONNECT_TAP_INSTALL' && error.kind === 'transient') {
            skip(error.message)
          }
          throw error
        })
        expect(rows.length).toBeGreaterThan(58)
        const truth = told(portal, type)
        expect(rows, `${type} by the tap`).toStrictEqual(inDoubles(type, truth))
        expect(await official(type), `${type} by the official client`).toStrictEqual(truth)
        expect(await ours(type), `${type} by our connector`).toStrictEqual(truth)
      }
      const gone = happen(portal)
      for (const type of TYPES) {
        const truth = told(portal, type)
        expect(await ours(type), `${type} by our connector`).toStrictEqual(truth)
        expect(await official(type), `${type} by the official client`).toStrictEqual(truth)
        const kept = await tap(type)
        const isGone = ({ id }: Row) => gone[type].includes(Number(id))
        const rest = kept.filter((row) => !isGone(row))
        expect(rest, `${type} by the tap`).toStrictEqual(inDoubles(type, truth))
        expect(kept.filter(isGone).map(({ id }) => Number(id))).toStrictEqual([...gone[type]].sort((a, b) => a - b))
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
