/**
 * The control API, /__sim/…: any script may edit the portal, move its clock and break its wire while a product reads it.
 * It needs no token and is never limited or broken itself. README.md shows each call.
 */
import { idOf, isObject, type JsonObject, listOf, objectOf, valuesOf } from './body.ts'
import { ok, type Reply } from './call.ts'
import { invalid, notFound } from './failure.ts'
import { FAULT_KINDS, type Fault, type Faults } from './faults.ts'
import type { Portal } from './portal.ts'
import { OBJECT_TYPES, type ObjectType, objectTypeOf } from './schema.ts'
import { recordBody } from './serialize.ts'

export interface Controlled {
  readonly portal: Portal
  readonly faults: Faults
  readonly counters: () => object
}

function typeIn(body: JsonObject, name = 'type'): ObjectType {
  const type = objectTypeOf(String(body[name]))
  if (type === undefined) throw invalid(`${name} must be companies, contacts or deals`)
  return type
}

function idIn(body: JsonObject, name = 'id'): number {
  const id = idOf(body[name])
  if (id === undefined) throw invalid(`${name} must be a record's id`)
  return id
}

function numberIn(body: JsonObject, name: string): number | undefined {
  const value = body[name]
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(`${name} must be a number`)
  return value
}

function faultOf(body: JsonObject): Fault {
  const kind = FAULT_KINDS.find((known) => known === body.kind)
  if (kind === undefined) throw invalid(`kind must be one of ${FAULT_KINDS.join(', ')}`)
  const policy = (['SECONDLY', 'TEN_SECONDLY_ROLLING', 'DAILY'] as const).find((known) => known === body.policy)
  return {
    kind,
    policy,
    status: numberIn(body, 'status'),
    retryAfterS: numberIn(body, 'retryAfterS'),
    delayMs: numberIn(body, 'delayMs'),
    count: numberIn(body, 'count'),
    skip: numberIn(body, 'skip'),
    probability: numberIn(body, 'probability'),
    match: typeof body.match === 'string' ? body.match : undefined,
  }
}

const sourceOf = (body: JsonObject) => (typeof body.source === 'string' ? { source: body.source } : {})

/** Ids given, or the first `count` live records. */
function* idsOf(portal: Portal, type: ObjectType, body: JsonObject): Generator<number> {
  if (body.ids !== undefined) {
    for (const id of listOf(body.ids, 'ids')) yield idIn({ id })
    return
  }
  let left = numberIn(body, 'count') ?? Number.POSITIVE_INFINITY
  for (const { id } of portal.live(type)) {
    if (left <= 0) return
    left -= 1
    yield id
  }
}

type Command = (at: Controlled, body: JsonObject) => unknown

const edgeIn = (body: JsonObject) =>
  [
    typeIn(body, 'from'),
    idIn(body, 'fromId'),
    typeIn(body, 'to'),
    idIn(body, 'toId'),
    numberIn(body, 'typeId'),
  ] as const

const COMMANDS: Readonly<Record<string, Command>> = {
  'POST clock': ({ portal }, body) => {
    const ms = numberIn(body, 'setMs')
    if (ms !== undefined) portal.clock.set(ms)
    portal.clock.advance(numberIn(body, 'advanceMs') ?? 0)
    return { nowMs: portal.clock.now() }
  },
  'GET clock': ({ portal }) => ({ nowMs: portal.clock.now(), frozen: portal.clock.frozen }),
  'POST create': ({ portal }, body) => {
    const id = body.id === undefined ? {} : { id: idIn(body) }
    return { id: String(portal.create(typeIn(body), valuesOf(body.properties), { ...id, ...sourceOf(body) }).id) }
  },
  'POST edit': ({ portal }, body) => {
    portal.edit(typeIn(body), idIn(body), valuesOf(body.properties), sourceOf(body))
    return {}
  },
  'POST touch': ({ portal }, body) => {
    const type = typeIn(body)
    return { touched: portal.touch(type, [...idsOf(portal, type, body)]) }
  },
  'POST archive': ({ portal }, body) => portal.archive(typeIn(body), idIn(body)),
  'POST restore': ({ portal }, body) => portal.restore(typeIn(body), idIn(body)),
  'POST privacy-delete': ({ portal }, body) => portal.privacyDelete(typeIn(body), idIn(body)),
  'POST merge': ({ portal }, body) => ({
    id: String(portal.merge(typeIn(body), idIn(body), idIn(body, 'otherId')).id),
  }),
  'POST associate': ({ portal }, body) => portal.associate(...edgeIn(body)),
  'POST dissociate': ({ portal }, body) => portal.dissociate(...edgeIn(body)),
  'POST index-lag': ({ portal }, body) => {
    const [min = 0, max = min, mean] = [numberIn(body, 'min'), numberIn(body, 'max'), numberIn(body, 'mean')]
    portal.indexLag = max === 0 ? 0 : { min, max, ...(mean === undefined ? {} : { mean }) }
    return { indexLag: portal.indexLag }
  },
  'POST faults': ({ faults }, body) => {
    faults.add(...listOf(body.faults ?? [body], 'faults').map((fault) => faultOf(objectOf(fault, 'a fault'))))
    return { pending: faults.pending() }
  },
  'GET faults': ({ faults }) => ({ pending: faults.pending() }),
  'DELETE faults': ({ faults }) => faults.clear(),
  'GET counters': ({ portal, counters }) => ({
    ...counters(),
    records: Object.fromEntries(OBJECT_TYPES.map((type) => [type, portal.count(type)])),
  }),
  'GET state': ({ portal }) => portal.dump(),
}

/** `GET /__sim/companies/17`: the record with every property and its history. */
function recordReply({ portal }: Controlled, typeName: string, rawId: string): Reply {
  const type = objectTypeOf(typeName)
  const record = type === undefined ? undefined : portal.find(type, idOf(rawId) ?? 0)
  if (type === undefined || record === undefined) throw notFound()
  const properties = [...portal.definitions(type).keys()]
  return ok(recordBody(record, { properties, history: [...record.history.keys()] }))
}

export function control(at: Controlled, method: string, pathname: string, body: unknown): Reply {
  const [name = '', id] = pathname.split('/').slice(2)
  if (method === 'GET' && id !== undefined) return recordReply(at, name, id)
  const command = COMMANDS[`${method} ${name}`]
  if (command === undefined) return ok({ commands: Object.keys(COMMANDS) }, name === '' ? 200 : 404)
  try {
    return ok(command(at, isObject(body) ? body : {}) ?? {})
  } catch (error) {
    // What the portal refuses is the caller's mistake.
    throw error instanceof Error && error.name === 'Error' ? invalid(error.message) : error
  }
}
