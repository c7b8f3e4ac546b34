/**
 * The HubSpot connector: companies, contacts, deals, their associations and the history of chosen properties.
 *
 * ```ts
 * hubspot({ accessToken: process.env.HUBSPOT_ACCESS_TOKEN ?? '' })
 * ```
 * One client per call of `hubspot`, because the official client keeps its settings per process.
 */
import {
  type Connector,
  type ConnectorProblem,
  defineConnector,
  type SourceContext,
  SourceError,
  type Stream,
  type Table,
} from '../../src/define/index.ts'
import { hubspotApi } from './api.ts'
import { associationStream } from './associations.ts'
import { HUBSPOT_API_VERSION, HUBSPOT_CREDENTIAL, hubspotBudgets } from './limits.ts'
import { objectStream } from './object-stream.ts'
import type { ObjectType } from './object-type.ts'
import { propertyProblems, readDefinitions } from './properties.ts'
import { archivedStream, sweepStream } from './sweep.ts'
import * as tables from './tables.ts'
import { type HubspotWebhooks, hubspotWebhooks } from './webhooks.ts'

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

export interface HubspotOptions {
  /** Service key or private-app token. */
  readonly accessToken: string
  /** Default: https://api.hubapi.com */
  readonly baseUrl?: string | undefined
  readonly apiVersion?: string | undefined
  /** Tables keyed by `id bigint`; their columns choose the properties. */
  readonly companies?: Table | undefined
  readonly contacts?: Table | undefined
  readonly deals?: Table | undefined
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
  /** Time between whole sweeps; default 24 h. */
  readonly sweepEveryMs?: number | undefined
  /** Taken as wake-ups: the records they tell of are read at once. Default: none. */
  readonly webhooks?: HubspotWebhooks | undefined
  /** Calls per 10 s, and searches per second; defaults 90 and 4, below the smallest allowance HubSpot gives. */
  readonly callsPer10s?: number | undefined
  readonly searchesPerSecond?: number | undefined
}

function objectTypes(options: HubspotOptions): readonly ObjectType[] {
  const companies = options.companies ?? tables.companies
  const history = options.history ?? DEFAULT_HISTORY.filter((property) => Object.hasOwn(companies.columns, property))
  const edge = (to: string, table: Table, fromColumn: string, toColumn: string) => ({ to, table, fromColumn, toColumn })
  return [
    {
      type: 'companies',
      table: companies,
      cursor: 'hs_lastmodifieddate',
      edges: [
        edge('contacts', tables.companyContacts, 'company_id', 'contact_id'),
        edge('deals', tables.companyDeals, 'company_id', 'deal_id'),
      ],
      historyTable: history.length === 0 ? undefined : tables.companyPropertyHistory,
      historyProperties: history,
    },
    {
      type: 'contacts',
      table: options.contacts ?? tables.contacts,
      cursor: 'lastmodifieddate',
      edges: [],
      historyTable: undefined,
      historyProperties: [],
    },
    {
      type: 'deals',
      table: options.deals ?? tables.deals,
      cursor: 'hs_lastmodifieddate',
      edges: [edge('contacts', tables.dealContacts, 'deal_id', 'contact_id')],
      historyTable: undefined,
      historyProperties: [],
    },
  ]
}

export function hubspot(options: HubspotOptions): Connector {
  const { accessToken, baseUrl = 'https://api.hubapi.com', apiVersion = HUBSPOT_API_VERSION } = options
  const { lagMs = 60_000, lookbackMs = 600_000, everyMs = 2_000 } = options
  const api = hubspotApi({ accessToken, baseUrl, version: apiVersion })
  const objects = objectTypes(options)

  async function problemsOf(context: SourceContext, object: ObjectType): Promise<readonly ConnectorProblem[]> {
    const known = await readDefinitions(api, context, object.type)
    return propertyProblems(object.type, object.table, object.historyProperties, known)
  }

  /** Checked once per process and type; a check that failed is made again by the next pass. */
  const readyOf = (object: ObjectType) => {
    let checked = false
    return async (context: SourceContext): Promise<void> => {
      if (checked) return
      const problems = await problemsOf(context, object)
      const [first] = problems
      if (first !== undefined) {
        throw new SourceError({
          kind: 'config',
          code: first.code,
          message: problems.map((problem) => problem.message).join(' '),
          mend: first.mend,
        })
      }
      checked = true
    }
  }

  function streamsOf(object: ObjectType): readonly Stream[] {
    const ready = readyOf(object)
    const { associationsEveryMs = 600_000, archivedEveryMs = 120_000, sweepEveryMs = 86_400_000 } = options
    return [
      objectStream({ api, object, lagMs, lookbackMs, everyMs, ready }),
      ...(object.edges.length === 0 ? [] : [associationStream(api, object, associationsEveryMs, ready)]),
      archivedStream({ api, object, everyMs: archivedEveryMs, ready }),
      sweepStream({ api, object, everyMs: sweepEveryMs, ready }),
    ]
  }

  return defineConnector({
    name: 'hubspot',
    credential: HUBSPOT_CREDENTIAL,
    secrets: [accessToken],
    budgets: hubspotBudgets(options),
    streams: objects.flatMap(streamsOf),
    webhooks:
      options.webhooks === undefined
        ? undefined
        : hubspotWebhooks(
            options.webhooks,
            objects.map(({ type }) => type),
          ),
    async check(context) {
      const problems = await Promise.all(objects.map((object) => problemsOf(context, object)))
      return problems.flat()
    },
  })
}

export { HUBSPOT_API_VERSION } from './limits.ts'
export * from './tables.ts'
export { type HubspotDeliverySpec, hubspotDelivery } from './write-back.ts'
