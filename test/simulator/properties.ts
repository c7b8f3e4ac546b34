/**
 * Property definitions and their groups, /crm/v3/properties/{type} and its dated twins: read and created, never changed.
 * Schemas of custom objects, read.
 */
import { type JsonObject, listOf, objectOf } from './body.ts'
import { type Call, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import { type ObjectType, PORTAL_ID, type TypeSpec } from './object-types.ts'
import { type PropertyDefinition, property } from './schema.ts'

/** @throws HubspotFailure when there is no such type */
export function typeOr404(call: Call, name: string | undefined): ObjectType {
  const spec = call.portal.types.find(name ?? '')
  if (spec === undefined) throw invalid(`Unable to infer object type from: ${name}`)
  return spec.name
}

const FIELD_TYPES: Readonly<Record<PropertyDefinition['type'], string>> = {
  string: 'text',
  number: 'number',
  bool: 'booleancheckbox',
  enumeration: 'select',
  datetime: 'date',
  date: 'date',
}

function propertyBody({
  name,
  type,
  readOnly,
  options,
  calculated = false,
  external = false,
  group = 'information',
}: PropertyDefinition): object {
  return {
    name,
    label: name,
    type,
    fieldType: FIELD_TYPES[type],
    groupName: group,
    options: (type === 'bool' ? ['true', 'false'] : options).map((value, displayOrder) => ({
      label: value,
      value,
      displayOrder,
      hidden: false,
    })),
    calculated,
    externalOptions: external,
    hasUniqueValue: name === 'hs_object_id',
    hubspotDefined: !name.startsWith('yc_') && group === 'information',
    archived: false,
    modificationMetadata: { archivable: false, readOnlyDefinition: true, readOnlyValue: readOnly },
  }
}

const TYPES = ['string', 'number', 'bool', 'enumeration', 'datetime', 'date'] as const
const NAME = /^[a-z][a-z0-9_]*$/

const taken = (what: string) => new HubspotFailure(409, 'CONFLICT', `${what} already exists.`)

function nameIn(body: JsonObject): string {
  const { name } = body
  if (typeof name !== 'string' || !NAME.test(name)) throw invalid(`${String(name)} is no valid internal name`)
  return name
}

/** `POST /crm/properties/2026-09/{type}`; the name cannot be changed afterwards. */
function createProperty(call: Call, type: ObjectType): Reply {
  const body = objectOf(call.body, 'body')
  const name = nameIn(body)
  const kind = TYPES.find((known) => known === body.type)
  const group = String(body.groupName)
  if (kind === undefined || typeof body.label !== 'string') throw invalid('type and label are required')
  if (!call.portal.groups(type).has(group)) throw invalid(`There is no property group ${group}`)
  if (call.portal.definitions(type).has(name)) throw taken(`A property ${name}`)
  const options = listOf(body.options, 'options').map((option) => String(objectOf(option, 'an option').value))
  const made = property(name, kind, { options, group })
  call.portal.defineProperty(type, made)
  return ok(propertyBody(made), 201)
}

function groups(call: Call, type: ObjectType, name: string | undefined): Reply {
  const known = call.portal.groups(type)
  const groupBody = ([group, label]: readonly [string, string]) => ({ name: group, label, archived: false })
  if (call.method === 'POST' && name === undefined) {
    const body = objectOf(call.body, 'body')
    const group = nameIn(body)
    if (known.has(group)) throw taken(`A property group ${group}`)
    known.set(group, String(body.label))
    return ok(groupBody([group, String(body.label)]), 201)
  }
  if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
  if (name === undefined) return ok({ results: [...known].map(groupBody) })
  const label = known.get(name)
  if (label === undefined) throw notFound()
  return ok(groupBody([name, label]))
}

export function properties(call: Call, [typeName, name, more]: readonly string[]): Reply {
  const type = typeOr404(call, typeName)
  if (name === 'groups') return groups(call, type, more)
  if (call.method === 'POST' && name === undefined) return createProperty(call, type)
  const known = call.portal.definitions(type)
  if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
  if (name === undefined) return ok({ results: [...known.values()].map(propertyBody) })
  const found = known.get(name)
  if (found === undefined) throw notFound()
  return ok(propertyBody(found))
}

function schemaBody(call: Call, spec: TypeSpec): object {
  const { name, objectTypeId } = spec
  const own = name.replace(`p${PORTAL_ID}_`, '')
  const types = call.portal.types.all().filter(({ isCustom }) => !isCustom)
  return {
    id: objectTypeId.slice(2),
    objectTypeId,
    name: own,
    fullyQualifiedName: name,
    labels: { singular: own, plural: own },
    requiredProperties: [],
    searchableProperties: [],
    properties: [...call.portal.definitions(name).values()].map(propertyBody),
    associations: types.flatMap((to) =>
      call.portal.edges.types(name, to.name).map(({ typeId, label }) => ({
        id: String(typeId),
        fromObjectTypeId: objectTypeId,
        toObjectTypeId: to.objectTypeId,
        name: label ?? `${own}_to_${to.singular}`,
      })),
    ),
    archived: false,
  }
}

/** `/crm/v3/schemas`, `/crm-object-schemas/v3/schemas`, `/crm-object-schemas/2026-09/schemas` */
export function schemas(call: Call, [name]: readonly string[]): Reply {
  if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
  const custom = call.portal.types.all().filter(({ isCustom }) => isCustom)
  if (name === undefined) return ok({ results: custom.map((spec) => schemaBody(call, spec)) })
  const found = call.portal.types.find(name)
  if (found === undefined) throw notFound()
  return ok(schemaBody(call, found))
}
