/**
 * Which handler answers a path. One table serves the old paths (/crm/v3/objects/…, /crm/v4/associations/…) and the dated
 * ones (/crm/objects/2026-09/…), because they differ in nothing else.
 */
import { associations } from './associations.ts'
import { archiveBatch, createBatch, readBatch, updateBatch } from './batch.ts'
import { idOf, objectOf } from './body.ts'
import { type Call, NO_CONTENT, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import { archiveObject, createOne, getObject, listObjects, updateOne } from './objects.ts'
import { type ObjectType, objectTypeOf, type PropertyDefinition } from './schema.ts'
import { search } from './search.ts'
import { readShape, recordBody } from './serialize.ts'

const DATED = new Set(['2026-03', '2026-09'])

export interface Route {
  readonly version: string
  /** Which of HubSpot's limits counts it. */
  readonly limit: 'burst' | 'search' | 'none'
  answer(call: Call): Reply
}

function typeOr404(name: string | undefined): ObjectType {
  const type = objectTypeOf(name ?? '')
  if (type === undefined) throw invalid(`Unable to infer object type from: ${name}`)
  return type
}

const FIELD_TYPES: Readonly<Record<PropertyDefinition['type'], string>> = {
  string: 'text',
  number: 'number',
  bool: 'booleancheckbox',
  enumeration: 'select',
  datetime: 'date',
  date: 'date',
}

function propertyBody({ name, type, readOnly, options }: PropertyDefinition): object {
  return {
    name,
    label: name,
    type,
    fieldType: FIELD_TYPES[type],
    groupName: 'information',
    options: (type === 'bool' ? ['true', 'false'] : options).map((value, displayOrder) => ({
      label: value,
      value,
      displayOrder,
      hidden: false,
    })),
    calculated: false,
    hasUniqueValue: name === 'hs_object_id',
    hubspotDefined: !name.startsWith('yc_'),
    archived: false,
    modificationMetadata: { archivable: false, readOnlyDefinition: true, readOnlyValue: readOnly },
  }
}

function properties(call: Call, rest: readonly string[]): Reply {
  const known = call.portal.definitions(typeOr404(rest[0]))
  if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
  if (rest[1] === undefined) return ok({ results: [...known.values()].map(propertyBody) })
  const found = known.get(rest[1])
  if (found === undefined) throw notFound()
  return ok(propertyBody(found))
}

function merge(call: Call, type: ObjectType): Reply {
  const body = objectOf(call.body, 'body')
  const first = idOf(body.primaryObjectId)
  const second = idOf(body.objectIdToMerge)
  const { portal } = call
  if (first === undefined || second === undefined) throw invalid('primaryObjectId and objectIdToMerge are required')
  const [left, right] = [portal.get(type, first), portal.get(type, second)]
  if (left === undefined || right === undefined) throw notFound()
  if (left === right) throw invalid('A record cannot be merged with itself')
  return ok(recordBody(portal.merge(type, left.id, right.id), readShape(portal, type, [], [])))
}

function privacyDelete(call: Call, type: ObjectType): Reply {
  const id = idOf(objectOf(call.body, 'body').objectId)
  if (id === undefined || call.portal.find(type, id) === undefined) throw notFound()
  call.portal.privacyDelete(type, id)
  return NO_CONTENT
}

const BATCH: Readonly<Record<string, (call: Call, type: ObjectType) => Reply>> = {
  read: readBatch,
  create: createBatch,
  update: updateBatch,
  archive: archiveBatch,
}

function objects(call: Call, [name, ...rest]: readonly string[]): Reply {
  const type = typeOr404(name)
  const { method, portal } = call
  const [first, second] = rest
  if (first === undefined) {
    if (method === 'GET') return listObjects(call, type)
    if (method === 'POST') return ok(createOne(portal, type, call.body), 201)
  } else if (method === 'POST') {
    if (first === 'search') return search(call, type)
    if (first === 'merge') return merge(call, type)
    if (first === 'gdpr-delete') return privacyDelete(call, type)
    const batch = first === 'batch' && Object.hasOwn(BATCH, second ?? '') ? BATCH[second ?? ''] : undefined
    if (batch !== undefined) return batch(call, type)
  } else if (method === 'GET') return getObject(call, type, first)
  else if (method === 'PATCH') return ok(updateOne(portal, type, first, objectOf(call.body, 'body').properties))
  else if (method === 'DELETE') return archiveObject(call, type, first)
  throw new HubspotFailure(405, 'VALIDATION_ERROR', `${method} is not allowed here`)
}

const ACCOUNT: Reply = ok({ portalId: 12_345_678, accountType: 'STANDARD', timeZone: 'UTC', utcOffset: '+00:00' })

/** undefined: HubSpot has no such path, or this simulator does not serve it. */
export function routeOf(pathname: string): Route | undefined {
  const parts = pathname.split('/').filter((part) => part !== '')
  if (parts[0] === 'account-info' && parts[2] === 'details') {
    return { version: parts[1] ?? '', limit: 'burst', answer: () => ACCOUNT }
  }
  if (parts[0] !== 'crm') return undefined
  const old = parts[1] === 'v3' || parts[1] === 'v4'
  const [version, area] = old ? [parts[1], parts[2]] : [parts[2], parts[1]]
  if (version === undefined || (!old && !DATED.has(version))) return undefined
  const rest = parts.slice(3)
  if (area === 'objects' && version !== 'v4') {
    return { version, limit: rest[1] === 'search' ? 'search' : 'burst', answer: (call) => objects(call, rest) }
  }
  if (area === 'properties' && version !== 'v4') {
    return { version, limit: 'burst', answer: (call) => properties(call, rest) }
  }
  if (area === 'associations' && version !== 'v3' && rest[2] === 'batch') {
    const answer = (call: Call) => associations(call, typeOr404(rest[0]), typeOr404(rest[1]), rest[3] ?? '')
    return { version, limit: 'none', answer }
  }
  return undefined
}
