/**
 * Three readers of one portal: our connector, HubSpot's own client, and a Singer tap in a virtual environment of its own
 * (tap-hubspot of singer-io, AGPL-3, run as it comes from PyPI with its address set to the simulator's).
 * Invariant: what they read is brought to one way of writing before it is compared, and only to that.
 */
import { join, resolve } from 'node:path'
import { Client } from '@hubspot/api-client'
import { singer } from '../../connectors/singer/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import {
  bigint,
  boolean,
  type Connector,
  defineTable,
  json,
  number,
  type Table,
  text,
  timestamp,
} from '../../src/define/index.ts'
import { type HubspotSetUp, rowsOf, TOKEN } from '../support/hubspot.ts'

export const TYPES = ['companies', 'contacts', 'deals'] as const
export type Type = (typeof TYPES)[number]

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
export const OURS = tablesIn('hubspot')
const TAPS = {
  ...tablesIn('tap'),
  deals: defineTable({ name: 'tap.deals', key: 'id', columns: { ...COLUMNS.deals, of_companies: json() } }),
}

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
      select: [...namesOf(type).map(tapProperty), ...(type === 'deals' ? ['associations'] : [])],
      columns: {
        id: TAP_KEY[type],
        ...Object.fromEntries(
          namesOf(type).map((name) => [name, type === 'contacts' ? tapProperty(name) : `${tapProperty(name)}.value`]),
        ),
        ...(type === 'deals' ? { of_companies: 'associations.associatedCompanyIds' } : {}),
      },
    })),
  })
}

type Values = Readonly<Record<string, string | null | undefined>>
export type Row = Readonly<Record<string, string | null>>

/** The value itself, however it is written. */
function meaning(kind: string, value: string | null | undefined): string | null {
  if (value === null || value === undefined || value === '') return null
  if (kind === 'timestamp') return String(/^-?\d+$/.test(value) ? Number(value) : Date.parse(value))
  return value
}

export function meant(table: Table, rows: readonly Values[]): readonly Row[] {
  return rows
    .map((row) =>
      Object.fromEntries(Object.entries(table.columns).map(([name, { kind }]) => [name, meaning(kind, row[name])])),
    )
    .sort((left, right) => Number(left.id) - Number(right.id))
}

/** As a reader has them that takes numbers for doubles. */
export function inDoubles(type: Type, rows: readonly Row[]): readonly Row[] {
  const kinds: Table['columns'] = COLUMNS[type]
  const double = (name: string, value: string | null) =>
    kinds[name]?.kind === 'number' && value !== null ? String(Number(value)) : value
  return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, double(name, value)])))
}

export interface Readers {
  /** Each reads what is new, and tells all it knows by then. */
  ours(type: Type): Promise<readonly Row[]>
  official(type: Type): Promise<readonly Row[]>
  tap(type: Type): Promise<readonly Row[]>
  /** Which deals belong to which companies (`deal company`), as each has them. */
  dealsOfCompanies(): Promise<Readonly<Record<'ours' | 'official' | 'tap', readonly string[]>>>
}

export async function readersOf(at: HubspotSetUp, folder: string): Promise<Readers> {
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
  const pairs = async (query: string) =>
    (await at.db.query<{ pair: string }>(query)).rows.map(({ pair }) => pair).sort()
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
      return inDoubles(type, meant(OURS[type], await rowsOf(at, TAPS[type])))
    },
    async dealsOfCompanies() {
      const all = await deals.getAll(100, undefined, ['dealname'], undefined, ['companies'])
      const official = all.flatMap(({ id, associations }) =>
        (associations?.companies?.results ?? []).map((company) => `${id} ${company.id}`),
      )
      return {
        ours: await pairs("select distinct concat_ws(' ', deal_id, company_id) as pair from hubspot.company_deals"),
        official: [...new Set(official)].sort(),
        tap: await pairs(
          "select concat_ws(' ', id, c) as pair from tap.deals, jsonb_array_elements_text(of_companies::jsonb) as c",
        ),
      }
    },
  }
}
