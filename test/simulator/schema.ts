/**
 * The properties each standard object type starts with, as HubSpot defines them and as the yc_* custom properties of this
 * project add. A portal may define more (`Portal.defineProperty`).
 */
import type { ObjectType } from './object-types.ts'

export type PropertyType = 'string' | 'number' | 'bool' | 'enumeration' | 'datetime' | 'date'

export interface PropertyDefinition {
  readonly name: string
  readonly type: PropertyType
  /** HubSpot fills it itself: a write over the API is refused. */
  readonly readOnly: boolean
  readonly options: readonly string[]
  /** HubSpot works it out; its changes do not move the last-modified time. */
  readonly calculated?: boolean
  /** It is the number of associated records of this type. */
  readonly counts?: ObjectType
  /** Its options are kept elsewhere and not listed. */
  readonly external?: boolean
  /** Default: information */
  readonly group?: string
}

export function property(
  name: string,
  type: PropertyType,
  { readOnly = false, options = [], ...rest }: Partial<Omit<PropertyDefinition, 'name' | 'type'>> = {},
): PropertyDefinition {
  return { name, type, readOnly, options, ...rest }
}

export const system = (name: string, type: PropertyType) => property(name, type, { readOnly: true })
const counted = (name: string, counts: ObjectType) =>
  property(name, 'number', { readOnly: true, calculated: true, counts })
const strings = (...names: readonly string[]) => names.map((name) => property(name, 'string'))
const LIFECYCLE = property('lifecyclestage', 'enumeration', {
  options: ['subscriber', 'lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity', 'customer', 'other'],
})

/** Its options are the portal's owners, which it does not list. */
const OWNER = property('hubspot_owner_id', 'enumeration', { external: true })

export interface DealStage {
  readonly closed: boolean
  readonly won: boolean
}

/** The default sales pipeline, in order. */
export const DEAL_STAGES: Readonly<Record<string, DealStage>> = {
  appointmentscheduled: { closed: false, won: false },
  qualifiedtobuy: { closed: false, won: false },
  presentationscheduled: { closed: false, won: false },
  decisionmakerboughtin: { closed: false, won: false },
  contractsent: { closed: false, won: false },
  closedwon: { closed: true, won: true },
  closedlost: { closed: true, won: false },
}

/** The default support pipeline, in order; HubSpot numbers its stages. */
export const TICKET_STAGES: Readonly<Record<string, string>> = {
  '1': 'New',
  '2': 'Waiting on contact',
  '3': 'Waiting on us',
  '4': 'Closed',
}

export const DEFINITIONS = {
  companies: [
    system('hs_object_id', 'number'),
    system('createdate', 'datetime'),
    system('hs_lastmodifieddate', 'datetime'),
    system('hs_merged_object_ids', 'enumeration'),
    ...strings('name', 'website', 'domain', 'city', 'country', 'industry', 'description', 'phone', 'state', 'zip'),
    property('numberofemployees', 'number'),
    property('annualrevenue', 'number'),
    LIFECYCLE,
    ...strings('yc_one_liner', 'yc_subindustry', 'yc_batch', 'yc_status', 'yc_stage'),
    property('yc_launched_at', 'datetime'),
    ...strings('yc_tags', 'yc_regions'),
    property('yc_top_company', 'bool'),
    property('yc_is_hiring', 'bool'),
    property('yc_nonprofit', 'bool'),
    OWNER,
    counted('num_associated_contacts', 'contacts'),
    counted('num_associated_deals', 'deals'),
  ],
  contacts: [
    system('hs_object_id', 'number'),
    system('createdate', 'datetime'),
    system('lastmodifieddate', 'datetime'),
    system('hs_calculated_merged_vids', 'enumeration'),
    ...strings('firstname', 'lastname', 'email', 'jobtitle', 'phone', 'company'),
    LIFECYCLE,
    property('hs_lead_status', 'enumeration', {
      options: ['NEW', 'OPEN', 'IN_PROGRESS', 'OPEN_DEAL', 'UNQUALIFIED', 'CONNECTED'],
    }),
    property('associatedcompanyid', 'number'),
    OWNER,
  ],
  deals: [
    system('hs_object_id', 'number'),
    system('hs_lastmodifieddate', 'datetime'),
    property('createdate', 'datetime'),
    ...strings('dealname', 'description'),
    property('amount', 'number'),
    property('dealstage', 'enumeration', { options: Object.keys(DEAL_STAGES) }),
    property('pipeline', 'enumeration', { options: ['default'] }),
    property('closedate', 'datetime'),
    system('hs_is_closed', 'bool'),
    system('hs_is_closed_won', 'bool'),
    system('hs_merged_object_ids', 'enumeration'),
    OWNER,
    counted('num_associated_contacts', 'contacts'),
  ],
  tickets: [
    system('hs_object_id', 'number'),
    system('createdate', 'datetime'),
    system('hs_lastmodifieddate', 'datetime'),
    system('hs_merged_object_ids', 'enumeration'),
    ...strings('subject', 'content', 'hs_pipeline', 'hs_pipeline_stage'),
    property('hs_ticket_priority', 'enumeration', { options: ['LOW', 'MEDIUM', 'HIGH', 'URGENT'] }),
    property('closed_date', 'datetime'),
    OWNER,
    counted('hs_num_associated_companies', 'companies'),
  ],
} as const satisfies Readonly<Record<string, readonly PropertyDefinition[]>>
