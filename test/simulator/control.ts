/**
 * The control API, /__sim/…: any script may edit the portal, move its clock and break its wire while a product reads it.
 * It needs no token and is never limited or broken itself. README.md shows each call.
 */
import { idOf, isObject, type JsonObject, listOf, objectOf, valuesOf } from './body.ts'
import { ok, type Reply } from './call.ts'
import { type Command, type Controlled, idIn, numberIn, typeIn } from './control-input.ts'
import { MORE_COMMANDS } from './control-more.ts'
import { invalid, notFound } from './failure.ts'
import { FAULT_KINDS, type Fault } from './faults.ts'
import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import { recordBody } from './serialize.ts'

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

const edgeIn = (at: Controlled, body: JsonObject) =>
  [
    typeIn(at, body, 'from'),
    idIn(body, 'fromId'),
    typeIn(at, body, 'to'),
    idIn(body, 'toId'),
    numberIn(body, 'typeId'),
    body.category === 'USER_DEFINED' ? body.category : undefined,
  ] as const

const COMMANDS: Readonly<Record<string, Command>> = {
  'POST clock': ({ portal }, body) => {
    const ms = numberIn(body, 'setMs')
    if (ms !== undefined) portal.clock.set(ms)
    portal.clock.advance(numberIn(body, 'advanceMs') ?? 0)
    return { nowMs: portal.clock.now() }
  },
  'GET clock': ({ portal }) => ({ nowMs: portal.clock.now(), frozen: portal.clock.frozen }),
  'POST create': (at, body) => {
    const id = body.id === undefined ? {} : { id: idIn(body) }
    return {
      id: String(at.portal.create(typeIn(at, body), valuesOf(body.properties), { ...id, ...sourceOf(body) }).id),
    }
  },
  'POST edit': (at, body) => {
    at.portal.edit(typeIn(at, body), idIn(body), valuesOf(body.properties), sourceOf(body))
    return {}
  },
  'POST touch': (at, body) => {
    const type = typeIn(at, body)
    return { touched: at.portal.touch(type, [...idsOf(at.portal, type, body)]) }
  },
  'POST archive': (at, body) => at.portal.archive(typeIn(at, body), idIn(body)),
  'POST restore': (at, body) => at.portal.restore(typeIn(at, body), idIn(body)),
  'POST privacy-delete': (at, body) => at.portal.privacyDelete(typeIn(at, body), idIn(body)),
  'POST merge': (at, body) => ({
    id: String(at.portal.merge(typeIn(at, body), idIn(body), idIn(body, 'otherId')).id),
  }),
  'POST associate': (at, body) => at.portal.associate(...edgeIn(at, body)),
  'POST dissociate': (at, body) => at.portal.dissociate(...edgeIn(at, body)),
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
    records: Object.fromEntries(portal.types.all().map(({ name }) => [name, portal.count(name)])),
  }),
  'GET state': ({ portal }) => portal.dump(),
  ...MORE_COMMANDS,
}

/** `GET /__sim/companies/17`: the record with every property and its history. */
function recordReply({ portal }: Controlled, typeName: string, rawId: string): Reply {
  const spec = portal.types.find(typeName)
  const record = spec === undefined ? undefined : portal.find(spec.name, idOf(rawId) ?? 0)
  if (spec === undefined || record === undefined) throw notFound()
  const properties = [...portal.definitions(spec.name).keys()]
  return ok(recordBody(record, { portal, properties, history: [...record.history.keys()] }))
}

export async function control(at: Controlled, method: string, pathname: string, body: unknown): Promise<Reply> {
  const [name = '', id] = pathname.split('/').slice(2)
  if (method === 'GET' && id !== undefined) return recordReply(at, name, id)
  const command = COMMANDS[`${method} ${name}`]
  if (command === undefined) return ok({ commands: Object.keys(COMMANDS) }, name === '' ? 200 : 404)
  try {
    return ok((await command(at, isObject(body) ? body : {})) ?? {})
  } catch (error) {
    // What the portal refuses is the caller's mistake.
    throw error instanceof Error && error.name === 'Error' ? invalid(error.message) : error
  }
}
