/**
 * Which handler answers a path. One table serves the old paths (/crm/v3/objects/…, /crm/v4/associations/…) and the dated
 * ones (/crm/objects/2026-09/…), because they differ in nothing else.
 */
import { associationLabels, associations, associationsOf } from './associations.ts'
import { archiveBatch, createBatch, readBatch, updateBatch } from './batch.ts'
import { idOf, objectOf } from './body.ts'
import { type Call, NO_CONTENT, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import { journal, journalFile, subscriptions } from './journal-api.ts'
import type { LimitKind } from './limits.ts'
import type { AppTokens } from './oauth.ts'
import { type ObjectType, PORTAL_ID } from './object-types.ts'
import { archiveObject, createOne, getObject, listObjects, updateOne } from './objects.ts'
import { owners } from './owners.ts'
import { pipelines } from './pipelines.ts'
import { properties, schemas, typeOr404 } from './properties.ts'
import { search } from './search.ts'
import { readShape, recordBody } from './serialize.ts'

const DATED = new Set(['2026-03', '2026-09'])

export interface Route {
  readonly version: string
  /** Which of HubSpot's limits counts it. */
  readonly limit: LimitKind
  /** Whose token it asks for: the portal's, the app's, or none. Default: the portal's. */
  readonly auth?: 'app' | 'none'
  answer(call: Call): Reply
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
  const type = typeOr404(call, name)
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

const ACCOUNT: Reply = ok({ portalId: PORTAL_ID, accountType: 'STANDARD', timeZone: 'UTC', utcOffset: '+00:00' })

type Area = (call: Call, rest: readonly string[]) => Reply

/** Named after the version, or before it in a dated path. */
const AREAS: Readonly<Record<string, Area>> = { objects, properties, owners, pipelines, schemas }

function associationsRoute(version: string, [from, to, area, ...rest]: readonly string[]): Route | undefined {
  const types = (call: Call) => [typeOr404(call, from), typeOr404(call, to)] as const
  if (area === 'labels' && rest.length === 0 && version !== 'v3') {
    return { version, limit: 'burst', answer: (call) => associationLabels(call, ...types(call)) }
  }
  if (area !== 'batch' || (version === 'v3' && rest[0] !== 'read')) return undefined
  return { version, limit: 'none', answer: (call) => associations(call, ...types(call), rest) }
}

/** What belongs to the app, not to the portal: its tokens, subscriptions and journal. */
function appRoute(parts: readonly string[], tokens: AppTokens): Route | undefined {
  const [first, second, third] = parts
  if (first === 'oauth' && third === 'token') {
    return { version: second ?? '', limit: 'none', auth: 'none', answer: (call) => tokens.issue(call) }
  }
  if (first === 'journal-files') {
    return { version: '', limit: 'none', auth: 'none', answer: (call) => journalFile(call, parts.slice(1)) }
  }
  const isOld = first === 'webhooks' && second === 'v4'
  if (!isOld && (first !== 'webhooks-journal' || !DATED.has(third ?? ''))) return undefined
  const [area, version = ''] = isOld ? [third, second] : [second, third]
  const app = { version, limit: 'journal', auth: 'app' } as const
  if (area === 'subscriptions') return { ...app, answer: (call) => subscriptions(call, parts.slice(3)) }
  if (area === 'journal' || area === 'journal-local') return { ...app, answer: (call) => journal(call, parts.slice(3)) }
  return undefined
}

/** undefined: HubSpot has no such path, or this simulator does not serve it. */
export function routeOf(pathname: string, tokens: AppTokens): Route | undefined {
  const parts = pathname.split('/').filter((part) => part !== '')
  if (parts[0] === 'account-info' && parts[2] === 'details') {
    return { version: parts[1] ?? '', limit: 'burst', answer: () => ACCOUNT }
  }
  const isVersion = (part: string | undefined) => part === 'v3' || part === 'v4' || DATED.has(part ?? '')
  if (parts[0] === 'crm-object-schemas' && isVersion(parts[1]) && parts[2] === 'schemas') {
    return { version: parts[1] ?? '', limit: 'burst', answer: (call) => schemas(call, parts.slice(3)) }
  }
  if (parts[0] !== 'crm') return appRoute(parts, tokens)
  const old = parts[1] === 'v3' || parts[1] === 'v4'
  const [version, area = ''] = old ? [parts[1], parts[2]] : [parts[2], parts[1]]
  if (version === undefined || (!old && !DATED.has(version))) return undefined
  const rest = parts.slice(3)
  if (area === 'associations') return associationsRoute(version, rest)
  if (area === 'objects' && rest[2] === 'associations' && version !== 'v3') {
    const [from, id, , to] = rest
    const answer = (call: Call) => associationsOf(call, typeOr404(call, from), id, typeOr404(call, to))
    return { version, limit: 'burst', answer }
  }
  const answer = Object.hasOwn(AREAS, area) ? AREAS[area] : undefined
  // Schemas of dated versions are served elsewhere.
  if (answer === undefined || version === 'v4' || (area === 'schemas' && !old)) return undefined
  const isSearch = area === 'objects' && rest[1] === 'search'
  return { version, limit: isSearch ? 'search' : 'burst', answer: (call) => answer(call, rest) }
}
