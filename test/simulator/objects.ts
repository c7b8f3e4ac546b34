/** GET, POST, PATCH and DELETE of records: /crm/v3/objects/{type}[/{id}] and its dated twins. */
import { idOf, isObject, listOf, objectOf, valuesOf } from './body.ts'
import { type Call, HISTORY_LIMIT, LIST_LIMIT, NO_CONTENT, namesIn, ok, type Reply } from './call.ts'
import type { Category } from './edges.ts'
import { invalid, invalidProperties, notFound, type PropertyProblem } from './failure.ts'
import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import type { CrmRecord } from './record.ts'
import { liveTargets, type ReadShape, readShape, recordBody } from './serialize.ts'
import { type PropertyInputs, refusal } from './values.ts'

/** Opaque to the caller: the last id, in disguise. */
const cursorOf = (id: number): string => Buffer.from(`id:${id}`).toString('base64url')

function idOfCursor(cursor: string): number {
  const [, digits] = /^id:(\d+)$/.exec(Buffer.from(cursor, 'base64url').toString()) ?? []
  if (digits === undefined) throw invalid(`The paging cursor ${cursor} is not valid`)
  return Number(digits)
}

function shapeOf(call: Call, type: ObjectType): ReadShape {
  return readShape(call.portal, type, namesIn(call.query, 'properties'), namesIn(call.query, 'propertiesWithHistory'))
}

/** At most one page of each, as the list endpoint answers them; the rest is reached by the associations API. */
function inlineAssociations(call: Call, record: CrmRecord): object {
  const asked = namesIn(call.query, 'associations')
  if (asked.length === 0) return {}
  const associations: Record<string, object> = {}
  for (const name of asked) {
    const to = call.portal.types.find(name)?.name
    if (to === undefined) throw invalid(`${name} is not a valid object type`)
    const targets = liveTargets(call.portal, record, to).slice(0, LIST_LIMIT)
    const results = targets.flatMap(([id, types]) =>
      types.map(() => ({ id: String(id), type: `${record.type}_to_${to}` })),
    )
    if (results.length > 0) associations[to] = { results }
  }
  return { associations }
}

export function listObjects(call: Call, type: ObjectType): Reply {
  const shape = shapeOf(call, type)
  const limit = Number(call.query.get('limit') ?? 10)
  const most = shape.history.length > 0 ? HISTORY_LIMIT : LIST_LIMIT
  if (!Number.isInteger(limit) || limit < 1 || limit > most) {
    throw invalid(`Invalid limit: ${call.query.get('limit')}. It must be between 1 and ${most}`)
  }
  const after = call.query.get('after')
  const archived = call.query.get('archived') === 'true'
  const records = call.portal.records(type).page(after === null ? 0 : idOfCursor(after), limit + 1, archived)
  const page = records.slice(0, limit)
  const last = page.at(-1)
  const results = page.map((record) => ({ ...recordBody(record, shape), ...inlineAssociations(call, record) }))
  if (records.length <= limit || last === undefined) return ok({ results })
  const cursor = cursorOf(last.id)
  return ok({ results, paging: { next: { after: cursor, link: `?after=${cursor}` } } })
}

export function getObject(call: Call, type: ObjectType, rawId: string): Reply {
  const id = idOf(rawId)
  const found = id === undefined ? undefined : call.portal.find(type, id)
  const archived = call.query.get('archived') === 'true'
  if (found === undefined || (found.archivedMs !== null) !== archived) throw notFound()
  return ok({ ...recordBody(found, shapeOf(call, type)), ...inlineAssociations(call, found) })
}

/** @throws HubspotFailure naming every property that cannot be written */
export function checkedValues(portal: Portal, type: ObjectType, input: unknown): PropertyInputs {
  const values = valuesOf(input)
  const problems: PropertyProblem[] = []
  for (const [name, value] of Object.entries(values)) {
    const definition = portal.definitions(type).get(name)
    if (definition === undefined) {
      problems.push({ name, error: 'PROPERTY_DOESNT_EXIST', message: `Property "${name}" does not exist` })
      continue
    }
    const message = refusal(definition, value === null ? '' : String(value))
    if (message === undefined) continue
    problems.push({ name, error: definition.readOnly ? 'READ_ONLY_VALUE' : 'INVALID_VALUE', message })
  }
  if (problems.length > 0) throw invalidProperties(problems)
  return values
}

/** What a write over the API answers: the values written and those HubSpot always adds. */
export function writtenBody(portal: Portal, record: CrmRecord, written: PropertyInputs): object {
  return recordBody(record, readShape(portal, record.type, [record.spec.created, ...Object.keys(written)], []))
}

export const WRITTEN_BY_API = { source: 'INTEGRATION' } as const

export function createOne(portal: Portal, type: ObjectType, input: unknown): object {
  const body = objectOf(input, 'body')
  const values = checkedValues(portal, type, body.properties)
  const edges = listOf(body.associations, 'associations').map((item) => associationInput(portal, type, item))
  const record = portal.create(type, values, WRITTEN_BY_API)
  for (const { to, toId, typeId, category } of edges) portal.associate(type, record.id, to, toId, typeId, category)
  return writtenBody(portal, record, values)
}

export const categoryOf = (value: unknown): Category => (value === 'USER_DEFINED' ? value : 'HUBSPOT_DEFINED')

function associationInput(portal: Portal, type: ObjectType, item: unknown) {
  const { to, types } = objectOf(item, 'an association')
  const toId = idOf(objectOf(to, 'to').id)
  const [first] = listOf(types, 'types')
  const typeId = isObject(first) ? Number(first.associationTypeId) : Number.NaN
  const category = categoryOf(isObject(first) ? first.associationCategory : undefined)
  const target = portal.types.all().find(({ name }) => portal.edges.knows(type, name, typeId, category))?.name
  if (toId === undefined || target === undefined || portal.get(target, toId) === undefined) {
    throw invalid('The association names no record or no type that exists')
  }
  return { to: target, toId, typeId, category }
}

export function updateOne(portal: Portal, type: ObjectType, rawId: unknown, properties: unknown): object {
  const id = idOf(rawId)
  if (id === undefined || portal.get(type, id) === undefined) throw notFound()
  const values = checkedValues(portal, type, properties)
  return writtenBody(portal, portal.edit(type, id, values, WRITTEN_BY_API), values)
}

export function archiveObject(call: Call, type: ObjectType, rawId: string): Reply {
  const id = idOf(rawId)
  if (id !== undefined && call.portal.get(type, id) !== undefined) call.portal.archive(type, id)
  return NO_CONTENT
}
