/**
 * Object types of the portal and the properties each starts with, as HubSpot defines them and as the yc_* custom
 * properties of this project add. A portal may define more (`Portal.defineProperty`).
 */
export type ObjectType = 'companies' | 'contacts' | 'deals'

export const OBJECT_TYPES: readonly ObjectType[] = ['companies', 'contacts', 'deals']

export type PropertyType = 'string' | 'number' | 'bool' | 'enumeration' | 'datetime' | 'date'

export interface PropertyDefinition {
  readonly name: string
  readonly type: PropertyType
  /** HubSpot fills it itself: a write over the API is refused. */
  readonly readOnly: boolean
  readonly options: readonly string[]
}

export function property(
  name: string,
  type: PropertyType,
  { readOnly = false, options = [] }: { readonly readOnly?: boolean; readonly options?: readonly string[] } = {},
): PropertyDefinition {
  return { name, type, readOnly, options }
}

const system = (name: string, type: PropertyType) => property(name, type, { readOnly: true })
const strings = (...names: readonly string[]) => names.map((name) => property(name, 'string'))
const LIFECYCLE = property('lifecyclestage', 'enumeration', {
  options: ['subscriber', 'lead', 'marketingqualifiedlead', 'salesqualifiedlead', 'opportunity', 'customer', 'other'],
})

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

export const DEFINITIONS: Readonly<Record<ObjectType, readonly PropertyDefinition[]>> = {
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
  ],
}

/** Answered when a read names no properties. */
export const DEFAULT_PROPERTIES: Readonly<Record<ObjectType, readonly string[]>> = {
  companies: ['createdate', 'domain', 'hs_lastmodifieddate', 'hs_object_id', 'name'],
  contacts: ['createdate', 'email', 'firstname', 'hs_object_id', 'lastmodifieddate', 'lastname'],
  deals: [
    'amount',
    'closedate',
    'createdate',
    'dealname',
    'dealstage',
    'hs_lastmodifieddate',
    'hs_object_id',
    'pipeline',
  ],
}

/** Answered whatever a read names. */
export const ALWAYS_ANSWERED: Readonly<Record<ObjectType, readonly string[]>> = {
  companies: ['createdate', 'hs_lastmodifieddate', 'hs_object_id'],
  contacts: ['createdate', 'hs_object_id', 'lastmodifieddate'],
  deals: ['createdate', 'hs_lastmodifieddate', 'hs_object_id'],
}

export const LAST_MODIFIED: Readonly<Record<ObjectType, string>> = {
  companies: 'hs_lastmodifieddate',
  contacts: 'lastmodifieddate',
  deals: 'hs_lastmodifieddate',
}

/** Where a merged record names the ids it came from. */
export const MERGED_IDS: Readonly<Partial<Record<ObjectType, string>>> = {
  companies: 'hs_merged_object_ids',
  contacts: 'hs_calculated_merged_vids',
}

const NAMES: Readonly<Record<string, ObjectType>> = {
  companies: 'companies',
  company: 'companies',
  '0-2': 'companies',
  contacts: 'contacts',
  contact: 'contacts',
  '0-1': 'contacts',
  deals: 'deals',
  deal: 'deals',
  '0-3': 'deals',
}

/** Plural, singular and objectTypeId all name a type. */
export function objectTypeOf(name: string): ObjectType | undefined {
  return Object.hasOwn(NAMES, name.toLowerCase()) ? NAMES[name.toLowerCase()] : undefined
}
