/**
 * Search over the lagging index. A record stands in the index as it was some time ago, but the answer carries it as it
 * is now: so a result may lie outside the range that was asked for.
 */
import { isObject, listOf, objectOf, stringsOf } from './body.ts'
import { type Call, ok, type Reply, SEARCH_LIMIT, SEARCH_TOTAL } from './call.ts'
import { invalid } from './failure.ts'
import type { ObjectType, TypeSpec } from './object-types.ts'
import type { CrmRecord, IndexVersion } from './record.ts'
import { type Filter, type Matcher, matcherOf, operatorOf } from './search-filter.ts'
import { readShape, recordBody } from './serialize.ts'

const MOST_GROUPS = 5
const MOST_FILTERS = 18
const MOST_FILTERS_IN_GROUP = 6
const MOST_BODY = 3_000

interface Hit {
  readonly record: CrmRecord
  readonly indexed: IndexVersion
}

function filtersOf(call: Call, type: ObjectType, groups: readonly unknown[]): readonly (readonly Filter[])[] {
  if (groups.length > MOST_GROUPS) throw invalid(`The maximum number of filter groups is ${MOST_GROUPS}`)
  const parsed = groups.map((group) =>
    listOf(objectOf(group, 'a filter group').filters, 'filters').map((item): Filter => {
      const filter = objectOf(item, 'a filter')
      const { propertyName, operator, value, highValue, values } = filter
      if (typeof propertyName !== 'string' || !call.portal.definitions(type).has(propertyName)) {
        throw invalid(`There was a problem with the request: property '${String(propertyName)}' does not exist`)
      }
      const asText = (part: unknown) => (part === undefined || part === null ? '' : String(part))
      return {
        property: propertyName,
        operator: operatorOf(operator),
        value: asText(value),
        highValue: asText(highValue),
        values: stringsOf(values, 'values'),
      }
    }),
  )
  if (parsed.some((filters) => filters.length > MOST_FILTERS_IN_GROUP)) {
    throw invalid(`The maximum number of filters in a group is ${MOST_FILTERS_IN_GROUP}`)
  }
  if (parsed.flat().length > MOST_FILTERS) throw invalid(`The maximum number of filters is ${MOST_FILTERS}`)
  return parsed
}

type Order = (left: Hit, right: Hit) => number

function sortOf(call: Call, type: ObjectType, sorts: readonly unknown[]): Order {
  if (sorts.length > 1) throw invalid('Only one sort is supported')
  const [sort] = sorts
  const name = isObject(sort)
    ? String(sort.propertyName)
    : typeof sort === 'string'
      ? sort.replace(/^-/, '')
      : call.portal.types.get(type).created
  const definition = call.portal.definitions(type).get(name)
  if (definition === undefined) throw invalid(`There was a problem with the request: property '${name}' does not exist`)
  const descending =
    (isObject(sort) && sort.direction === 'DESCENDING') || (typeof sort === 'string' && sort.startsWith('-'))
  const key = ({ record, indexed }: Hit): number | string => {
    if (name === 'hs_object_id') return record.id
    if (name === record.spec.lastModified) return indexed.modifiedMs
    if (name === record.spec.created) return record.createdMs
    const value = indexed.properties[name] ?? ''
    if (definition.type === 'number') return Number(value)
    return definition.type === 'datetime' ? Date.parse(value) : value
  }
  return (left, right) => {
    const a = key(left)
    const b = key(right)
    return (a < b ? -1 : a > b ? 1 : 0) * (descending ? -1 : 1)
  }
}

function matches(matchers: readonly (readonly Matcher[])[], hit: Hit, words: string, { defaults }: TypeSpec): boolean {
  const { record, indexed } = hit
  if (words !== '') {
    const texts = defaults.map((name) => indexed.properties[name]?.toLowerCase() ?? '')
    if (!texts.some((text) => text.includes(words))) return false
  }
  return matchers.length === 0 || matchers.some((group) => group.every((matcher) => matcher(record, indexed)))
}

export function search(call: Call, type: ObjectType): Reply {
  if (call.bodyLength > MOST_BODY) {
    throw invalid(`The request body is too long: ${call.bodyLength} characters, at most ${MOST_BODY} are allowed`)
  }
  const body = objectOf(call.body, 'body')
  const limit = Number(body.limit ?? 10)
  if (!Number.isInteger(limit) || limit < 1 || limit > SEARCH_LIMIT) {
    throw invalid(`Invalid limit: ${String(body.limit)}. It must be between 1 and ${SEARCH_LIMIT}`)
  }
  const after = Number(body.after ?? 0)
  if (!Number.isInteger(after) || after < 0) throw invalid(`Invalid after: ${String(body.after)}`)
  if (after + limit > SEARCH_TOTAL) throw invalid(`You cannot page beyond ${SEARCH_TOTAL} results of a search`)
  const filters = filtersOf(call, type, listOf(body.filterGroups, 'filterGroups'))
  const matchers = filters.map((group) => group.map((filter) => matcherOf(call.portal, type, filter)))
  const order = sortOf(call, type, listOf(body.sorts, 'sorts'))
  const words = typeof body.query === 'string' ? body.query.toLowerCase() : ''
  const shape = readShape(call.portal, type, stringsOf(body.properties, 'properties'), [])
  const nowMs = call.portal.clock.now()
  const hits: Hit[] = []
  for (const record of call.portal.live(type)) {
    const indexed = record.indexedAt(nowMs)
    if (indexed !== null && matches(matchers, { record, indexed }, words, record.spec)) hits.push({ record, indexed })
  }
  const page = hits.sort(order).slice(after, after + limit)
  const results = page.map(({ record }) => recordBody(record, shape))
  const next = after + limit
  const paging = next < hits.length ? { paging: { next: { after: String(next), link: `?after=${next}` } } } : {}
  return ok({ total: hits.length, results, ...paging })
}
