/** Associations: batch read, create and archive, /crm/v4/associations/{from}/{to}/batch/… and its dated twins; labels. */
import { idOf, inputsOf, isObject, type JsonObject, listOf, objectOf } from './body.ts'
import { type Call, NO_CONTENT, ok, type Reply } from './call.ts'
import type { AssociationType, Edge } from './edges.ts'
import { invalid, notFound } from './failure.ts'
import type { ObjectType } from './object-types.ts'
import { categoryOf } from './objects.ts'
import type { CrmRecord } from './record.ts'
import { liveTargets } from './serialize.ts'

const MOST_READ = 1_000
const MOST_LISTED = 500
const MOST_CREATED = 2_000
const MOST_ARCHIVED = 100

type Target = readonly [id: number, types: readonly AssociationType[]]

/** One page of a record's targets, and where the next begins. */
function pageOf(call: Call, record: CrmRecord, to: ObjectType, after: unknown, most: number) {
  const rest = liveTargets(call.portal, record, to).filter(([targetId]) => targetId > Number(after ?? 0))
  const page = rest.slice(0, most)
  const last = String(page.at(-1)?.[0])
  return {
    page,
    paging: rest.length > page.length ? { paging: { next: { after: last, link: `?after=${last}` } } } : {},
  }
}

/** Old versions know no labels: a pair of types has one name, and `_unlabeled` for the plain association. */
function targetBody(call: Call, from: ObjectType, to: ObjectType, [id, types]: Target): readonly object[] {
  if (call.version !== 'v3') {
    return [{ toObjectId: call.version === 'v4' ? id : String(id), associationTypes: types }]
  }
  const name = `${call.portal.types.get(from).singular}_to_${call.portal.types.get(to).singular}`
  return types.map(({ label }) => ({ id: String(id), type: label === null ? `${name}_unlabeled` : name }))
}

function readAssociations(call: Call, from: ObjectType, to: ObjectType): Reply {
  const results: object[] = []
  const errors: object[] = []
  for (const input of inputsOf(call.body, MOST_READ)) {
    const id = idOf(input.id)
    const record = id === undefined ? undefined : call.portal.get(from, id)
    if (record === undefined || liveTargets(call.portal, record, to).length === 0) {
      errors.push({
        status: 'error',
        category: 'OBJECT_NOT_FOUND',
        subCategory: 'crm.associations.NO_ASSOCIATIONS_FOUND',
        message: `No ${to} is associated with ${from} ${String(input.id)}.`,
        context: { fromObjectId: [String(input.id)], fromObjectType: [from], toObjectType: [to] },
      })
      continue
    }
    const { page, paging } = pageOf(call, record, to, input.after, call.settings.associationPage)
    const targets = page.flatMap((target) => targetBody(call, from, to, target))
    results.push({ from: { id: String(input.id) }, to: targets, ...paging })
  }
  if (errors.length === 0) return ok({ status: 'COMPLETE', results })
  return ok({ status: 'COMPLETE', results, numErrors: errors.length, errors }, 207)
}

/** `/crm/v4/objects/{from}/{id}/associations/{to}` and its dated twins: those of one record. */
export function associationsOf(call: Call, from: ObjectType, rawId: string | undefined, to: ObjectType): Reply {
  const id = idOf(rawId)
  const record = id === undefined ? undefined : call.portal.get(from, id)
  if (call.method !== 'GET' || record === undefined) throw notFound()
  const limit = Number(call.query.get('limit') ?? call.settings.associationPage)
  if (!Number.isInteger(limit) || limit < 1 || limit > MOST_LISTED) throw invalid(`Invalid limit: ${limit}`)
  const { page, paging } = pageOf(call, record, to, call.query.get('after'), limit)
  return ok({ results: page.flatMap((target) => targetBody(call, from, to, target)), ...paging })
}

type Named = Pick<Edge, 'typeId' | 'category'>

const endOf = (value: unknown): number | undefined => (isObject(value) ? idOf(value.id) : undefined)

function typesOf(call: Call, from: ObjectType, to: ObjectType, input: JsonObject): readonly Named[] {
  const { edges } = call.portal
  const named = listOf(input.types, 'types').map((item): Named => {
    const type = objectOf(item, 'a type')
    return { typeId: Number(type.associationTypeId), category: categoryOf(type.associationCategory) }
  })
  const byDefault = edges.defaultType(from, to)
  const types = named.length > 0 || byDefault === undefined ? named : [byDefault]
  if (types.length === 0 || types.some(({ typeId, category }) => !edges.knows(from, to, typeId, category))) {
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
    for (const { typeId, category } of typesOf(call, from, to, input)) {
      call.portal.associate(from, fromId, to, toId, typeId, category)
    }
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

/** Takes the label alone off the pair; the rest of it stays. */
function archiveLabels(call: Call, from: ObjectType, to: ObjectType): Reply {
  for (const input of inputsOf(call.body, MOST_ARCHIVED)) {
    const fromId = endOf(input.from)
    const toId = endOf(input.to)
    if (fromId === undefined || toId === undefined) continue
    for (const { typeId, category } of typesOf(call, from, to, input)) {
      call.portal.dissociate(from, fromId, to, toId, typeId, category)
    }
  }
  return NO_CONTENT
}

/** Every type between two object types, HubSpot's own and the portal's. */
export function associationLabels(call: Call, from: ObjectType, to: ObjectType): Reply {
  const results = call.portal.edges.types(from, to).map(({ category, typeId, label }) => ({ category, typeId, label }))
  return ok({ results })
}

export function associations(call: Call, from: ObjectType, to: ObjectType, [action, what]: readonly string[]): Reply {
  if (action === 'read') return readAssociations(call, from, to)
  if (action === 'create') return createAssociations(call, from, to)
  if (action === 'archive') return archiveAssociations(call, from, to)
  if (action === 'labels' && what === 'archive') return archiveLabels(call, from, to)
  throw notFound()
}
