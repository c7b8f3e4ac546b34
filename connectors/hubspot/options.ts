/** What a user tells `hubspot`, and the object types that are read for it. */
import type { Table } from '../../src/define/index.ts'
import type { HubspotJournal } from './journal-api.ts'
import type { EdgeSpec, ObjectType } from './object-type.ts'
import * as tables from './tables.ts'
import type { HubspotWebhooks } from './webhooks.ts'

/**
 * Every property the models were trained to see the history of (PROPERTY in models/training/frame.py): with fewer, the
 * features that count edits and measure quiet mean something else than they were trained on.
 */
export const DEFAULT_HISTORY: readonly string[] = [
  'numberofemployees',
  'yc_is_hiring',
  'yc_status',
  'website',
  'name',
  'yc_one_liner',
  'description',
  'yc_tags',
  'city',
  'industry',
  'yc_subindustry',
  'yc_regions',
  'yc_nonprofit',
  'yc_launched_at',
  'yc_top_company',
  'yc_batch',
  'yc_stage',
]

/** Associations of one type with another, read from the first. */
export interface HubspotAssociation {
  readonly from: string
  readonly to: string
  /** Keyed by the id of `from`, the id of `to`, `category` and `type_id`; with a column `label`, as in tables.ts. */
  readonly table: Table
}

export interface HubspotOptions {
  /** Service key or private-app token. */
  readonly accessToken: string
  /** Default: https://api.hubapi.com */
  readonly baseUrl?: string | undefined
  /** `v3`, or a dated version. Default: HUBSPOT_API_VERSION */
  readonly apiVersion?: string | undefined
  /** Tables keyed by `id bigint`; their columns choose the properties. false: not read. */
  readonly companies?: Table | false | undefined
  readonly contacts?: Table | false | undefined
  readonly deals?: Table | false | undefined
  /** true: into hubspot.tickets. Default: not read. */
  readonly tickets?: Table | boolean | undefined
  /** Custom objects by fully qualified name (`p123_machines`) or object type id (`2-456`), each into its table. */
  readonly objects?: Readonly<Record<string, Table>> | undefined
  /** Besides those between companies, contacts, deals and tickets. */
  readonly associations?: readonly HubspotAssociation[] | undefined
  /** Into hubspot.owners. Default: false. */
  readonly owners?: boolean | undefined
  /** Object types whose pipelines are read; true: deals and tickets, as far as they are read. Default: none. */
  readonly pipelines?: readonly string[] | boolean | undefined
  /** Company properties whose past values are kept. Default: DEFAULT_HISTORY as far as the companies table declares them. */
  readonly history?: readonly string[] | undefined
  /** How long HubSpot's search index may lag; default 60 s. */
  readonly lagMs?: number | undefined
  /** How far before the load's start following begins; default 10 min. */
  readonly lookbackMs?: number | undefined
  /** Pause between looks for changes; default 2 s. */
  readonly everyMs?: number | undefined
  /** Pause between passes over all associations; default 10 min. */
  readonly associationsEveryMs?: number | undefined
  /** Pause between looks into the recycle bin; default 2 min. */
  readonly archivedEveryMs?: number | undefined
  /** Pause between readings of calculated properties, where a table declares some; default 1 h. */
  readonly calculatedEveryMs?: number | undefined
  /** Pause between readings of owners, pipelines and labels; default 10 min. */
  readonly portalEveryMs?: number | undefined
  /** Time between whole sweeps; default 24 h. */
  readonly sweepEveryMs?: number | undefined
  /** Share of a table's rows that one sweep may find nowhere and delete; 50 rows it always may. Default 0.2. */
  readonly sweepMayRemove?: number | undefined
  /** Taken as wake-ups: the records they tell of are read at once. Default: none. */
  readonly webhooks?: HubspotWebhooks | undefined
  /** A second feed besides the looks for changes: deletions, merges and associations come within seconds. Default: none. */
  readonly journal?: HubspotJournal | undefined
  /** Calls per 10 s, and searches per second; defaults 90 and 4, below the smallest allowance HubSpot gives. */
  readonly callsPer10s?: number | undefined
  readonly searchesPerSecond?: number | undefined
}

function tableOf(given: Table | boolean | undefined, own: Table, byDefault: boolean): Table | undefined {
  if (given === false || (given === undefined && !byDefault)) return undefined
  return given === true || given === undefined ? own : given
}

/** @throws TypeError for a table of associations that is not keyed as one */
function edgeOf({ from, to, table }: HubspotAssociation): EdgeSpec {
  const [fromColumn = '', toColumn = '', ...rest] = table.key
  if (rest.join() !== 'category,type_id' || !Object.hasOwn(table.columns, 'label')) {
    throw new TypeError(
      `'${table.id}' cannot hold associations from ${from} to ${to}: its key must be [<id of ${from}>, <id of ${to}>, 'category', 'type_id'], and it needs a column 'label'.`,
    )
  }
  return { to, table, fromColumn, toColumn }
}

const ASSOCIATIONS: readonly HubspotAssociation[] = [
  { from: 'companies', to: 'contacts', table: tables.companyContacts },
  { from: 'companies', to: 'deals', table: tables.companyDeals },
  { from: 'companies', to: 'tickets', table: tables.companyTickets },
  { from: 'deals', to: 'contacts', table: tables.dealContacts },
  { from: 'tickets', to: 'contacts', table: tables.ticketContacts },
]

/** @throws TypeError for associations of a type that is not read */
export function objectTypes(options: HubspotOptions): readonly ObjectType[] {
  const chosen: readonly (readonly [string, Table | undefined])[] = [
    ['companies', tableOf(options.companies, tables.companies, true)],
    ['contacts', tableOf(options.contacts, tables.contacts, true)],
    ['deals', tableOf(options.deals, tables.deals, true)],
    ['tickets', tableOf(options.tickets, tables.tickets, false)],
    ...Object.entries(options.objects ?? {}),
  ]
  const read = new Map(chosen.flatMap(([type, table]) => (table === undefined ? [] : [[type, table] as const])))
  const own = ASSOCIATIONS.filter(({ from, to }) => read.has(from) && read.has(to))
  const associations = [...own, ...(options.associations ?? [])]
  const unread = associations.find(({ from, to }) => !read.has(from) || !read.has(to))
  if (unread !== undefined) {
    throw new TypeError(`Associations from ${unread.from} to ${unread.to} need both to be read by hubspot().`)
  }
  return [...read].map(([type, table]) => {
    const history =
      type === 'companies'
        ? (options.history ?? DEFAULT_HISTORY.filter((property) => Object.hasOwn(table.columns, property)))
        : []
    return {
      type,
      table,
      cursor: type === 'contacts' ? 'lastmodifieddate' : 'hs_lastmodifieddate',
      edges: associations.filter(({ from }) => from === type).map(edgeOf),
      edgesHere: associations
        .filter(({ to }) => to === type)
        .map((one) => ({ table: one.table, column: edgeOf(one).toColumn })),
      historyTable: history.length === 0 ? undefined : tables.companyPropertyHistory,
      historyProperties: history,
    }
  })
}

/** Types whose pipelines are read. */
export function pipelineTypes(
  { pipelines = false }: HubspotOptions,
  objects: readonly ObjectType[],
): readonly string[] {
  if (typeof pipelines !== 'boolean') return pipelines
  if (!pipelines) return []
  return objects.map(({ type }) => type).filter((type) => type === 'deals' || type === 'tickets')
}
