/** Associations: batch read, create and archive, /crm/v4/associations/{from}/{to}/batch/… and its dated twins. */
import { idOf, inputsOf, isObject, type JsonObject, listOf, objectOf } from './body.ts'
import { type Call, NO_CONTENT, ok, type Reply } from './call.ts'
import { invalid, notFound } from './failure.ts'
import { liveTargets } from './objects.ts'
import type { ObjectType } from './schema.ts'

const MOST_READ = 1_000
const MOST_CREATED = 2_000
const MOST_ARCHIVED = 100

function readAssociations(call: Call, from: ObjectType, to: ObjectType): Reply {
  const results: object[] = []
  const errors: object[] = []
  for (const input of inputsOf(call.body, MOST_READ)) {
    const id = idOf(input.id)
    const record = id === undefined ? undefined : call.portal.get(from, id)
    const targets = record === undefined ? [] : liveTargets(call.portal, record, to)
    if (targets.length === 0) {
      errors.push({
        status: 'error',
        category: 'OBJECT_NOT_FOUND',
        subCategory: 'crm.associations.NO_ASSOCIATIONS_FOUND',
        message: `No ${to} is associated with ${from} ${String(input.id)}.`,
        context: { fromObjectId: [String(input.id)], fromObjectType: [from], toObjectType: [to] },
      })
      continue
    }
    const after = Number(input.after ?? 0)
    const rest = targets.filter(([targetId]) => targetId > after)
    const page = rest.slice(0, call.settings.associationPage)
    const last = page.at(-1)?.[0]
    results.push({
      from: { id: String(input.id) },
      to: page.map(([targetId, types]) => ({
        toObjectId: call.version === 'v4' ? targetId : String(targetId),
        associationTypes: types.map(({ typeId, label }) => ({ category: 'HUBSPOT_DEFINED', typeId, label })),
      })),
      ...(rest.length > page.length ? { paging: { next: { after: String(last) } } } : {}),
    })
  }
  if (errors.length === 0) return ok({ status: 'COMPLETE', results })
  return ok({ status: 'COMPLETE', results, numErrors: errors.length, errors }, 207)
}

const endOf = (value: unknown): number | undefined => (isObject(value) ? idOf(value.id) : undefined)

function typesOf(call: Call, from: ObjectType, to: ObjectType, input: JsonObject): readonly number[] {
  const named = listOf(input.types, 'types').map((type) => Number(objectOf(type, 'a type').associationTypeId))
  const byDefault = call.portal.edges.defaultType(from, to)
  const types = named.length > 0 || byDefault === undefined ? named : [byDefault]
  if (types.length === 0 || types.some((typeId) => !call.portal.edges.knows(from, to, typeId))) {
    throw invalid(`No such association type between ${from} and ${to}`)
  }
  return types
}

function createAssociations(call: Call, from: ObjectType, to: ObjectType): Reply {
  const results = inputsOf(call.body, MOST_CREATED).map((input) => {
    const fromId = endOf(input.from)
    const toId = endOf(input.to)
    if (fromId === undefined || toId === undefined) throw invalid('from and to must each have an id')
    if (call.portal.get(from, fromId) === undefined || call.portal.get(to, toId) === undefined) throw notFound()
    for (const typeId of typesOf(call, from, to, input)) call.portal.associate(from, fromId, to, toId, typeId)
    return { fromObjectId: String(fromId), toObjectId: String(toId), labels: [] }
  })
  return ok({ status: 'COMPLETE', results }, 201)
}

function archiveAssociations(call: Call, from: ObjectType, to: ObjectType): Reply {
  for (const input of inputsOf(call.body, MOST_ARCHIVED)) {
    const fromId = endOf(input.from)
    for (const target of listOf(input.to, 'to')) {
      const toId = endOf(target)
      if (fromId !== undefined && toId !== undefined) call.portal.dissociate(from, fromId, to, toId)
    }
  }
  return NO_CONTENT
}

export function associations(call: Call, from: ObjectType, to: ObjectType, action: string): Reply {
  if (action === 'read') return readAssociations(call, from, to)
  if (action === 'create') return createAssociations(call, from, to)
  if (action === 'archive') return archiveAssociations(call, from, to)
  throw notFound()
}
