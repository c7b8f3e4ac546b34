/**
 * The paths from before v3 by which old clients still read companies and deals; exactly those tap-hubspot 4.5.0 asks for.
 * They show the portal that the newer paths show: only the shape differs. A time is text of milliseconds since 1970, a
 * property that is not set is left out, and each value stands with when and whence it came.
 */
import { idOf } from './body.ts'
import { type Call, namesIn, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import { type ObjectType, PORTAL_ID } from './object-types.ts'
import { propertyBody } from './properties.ts'
import type { CrmRecord } from './record.ts'
import type { PropertyDefinition } from './schema.ts'
import { liveTargets, propertyValue } from './serialize.ts'

const MOST = 250
const DEFAULT_LIMIT = 100

function oldValue({ type }: PropertyDefinition, value: string): string {
  const ms = type === 'datetime' || type === 'date' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? value : String(ms)
}

/** Its latest version alone, as all of these paths answer by default. */
function oldProperty({ portal }: Call, record: CrmRecord, definition: PropertyDefinition): object | undefined {
  const { name } = definition
  const current = propertyValue(portal, record, name)
  if (current === null) return undefined
  const value = oldValue(definition, current)
  const written = record.history.get(name)?.[0]
  const isLastModified = name === record.spec.lastModified
  const timestamp = isLastModified ? record.modifiedMs : (written?.atMs ?? record.createdMs)
  const source = written?.source ?? 'CALCULATED'
  const version = { name, value, timestamp, source, sourceVid: [] }
  return { value, timestamp, source, sourceId: null, versions: [version] }
}

/** @param names default: all there are */
function oldProperties(call: Call, record: CrmRecord, names?: readonly string[]): object {
  const known = call.portal.definitions(record.type)
  const properties: Record<string, object> = {}
  for (const name of names ?? known.keys()) {
    const definition = known.get(name)
    const property = definition === undefined ? undefined : oldProperty(call, record, definition)
    if (property !== undefined) properties[name] = property
  }
  return properties
}

const companyBody = (call: Call, record: CrmRecord, names?: readonly string[]) => ({
  portalId: PORTAL_ID,
  companyId: record.id,
  isDeleted: false,
  properties: oldProperties(call, record, names),
  additionalDomains: [],
})

const isAsked = ({ query }: Call, name: string) => query.get(name)?.toLowerCase() === 'true'

function dealBody(call: Call, record: CrmRecord): object {
  const associated = (to: ObjectType) =>
    isAsked(call, 'includeAssociations') ? liveTargets(call.portal, record, to).map(([id]) => id) : []
  const names = isAsked(call, 'includeAllProperties') ? undefined : namesIn(call.query, 'properties')
  return {
    portalId: PORTAL_ID,
    dealId: record.id,
    isDeleted: false,
    associations: {
      associatedVids: associated('contacts'),
      associatedCompanyIds: associated('companies'),
      associatedDealIds: [],
    },
    properties: oldProperties(call, record, names),
  }
}

/** Live records, ids ascending; `offset` is the last id of the page before. */
function pageOf({ portal, query }: Call, type: ObjectType) {
  const limit = Number(query.get('limit') ?? DEFAULT_LIMIT)
  const offset = Number(query.get('offset') ?? 0)
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST) throw invalid(`limit must be between 1 and ${MOST}`)
  if (!Number.isInteger(offset)) throw invalid(`Invalid offset: ${query.get('offset')}`)
  const found = portal.records(type).page(offset, limit + 1, false)
  const page = found.slice(0, limit)
  return { page, hasMore: found.length > limit, offset: page.at(-1)?.id ?? offset }
}

function pagedCompanies(call: Call): Reply {
  const { page, hasMore, offset } = pageOf(call, 'companies')
  const names = namesIn(call.query, 'properties')
  return ok({ companies: page.map((record) => companyBody(call, record, names)), 'has-more': hasMore, offset })
}

function oneCompany(call: Call, rawId: string): Reply {
  const id = idOf(rawId)
  const record = id === undefined ? undefined : call.portal.get('companies', id)
  if (record === undefined) throw notFound()
  return ok(companyBody(call, record))
}

function pagedDeals(call: Call): Reply {
  const { page, hasMore, offset } = pageOf(call, 'deals')
  return ok({ deals: page.map((record) => dealBody(call, record)), hasMore, offset })
}

/** A bare list, not an object with results. */
const definitionsOf = ({ portal }: Call, type: ObjectType) =>
  ok([...portal.definitions(type).values()].map(propertyBody))

const PATHS: ReadonlyMap<string, (call: Call) => Reply> = new Map([
  ['companies/v2/companies/paged', pagedCompanies],
  ['companies/v2/properties', (call) => definitionsOf(call, 'companies')],
  ['deals/v1/deal/paged', pagedDeals],
  ['properties/v1/deals/properties', (call) => definitionsOf(call, 'deals')],
])

/** undefined: none of these paths. */
export function legacyAnswer(parts: readonly string[]): ((call: Call) => Reply) | undefined {
  const path = parts.join('/')
  const [, id] = /^companies\/v2\/companies\/(\d+)$/.exec(path) ?? []
  const answer = id === undefined ? PATHS.get(path) : (call: Call) => oneCompany(call, id)
  if (answer === undefined) return undefined
  return (call) => {
    if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', `${call.method} is not allowed here`)
    return answer(call)
  }
}
