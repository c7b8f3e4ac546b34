/** Property definitions, /crm/v3/properties/{type} and its dated twins; schemas of custom objects. Read only. */
import { type Call, ok, type Reply } from './call.ts'
import { HubspotFailure, invalid, notFound } from './failure.ts'
import { type ObjectType, PORTAL_ID, type TypeSpec } from './object-types.ts'
import type { PropertyDefinition } from './schema.ts'

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
}: PropertyDefinition): object {
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
    calculated,
    externalOptions: external,
    hasUniqueValue: name === 'hs_object_id',
    hubspotDefined: !name.startsWith('yc_'),
    archived: false,
    modificationMetadata: { archivable: false, readOnlyDefinition: true, readOnlyValue: readOnly },
  }
}

export function properties(call: Call, rest: readonly string[]): Reply {
  const known = call.portal.definitions(typeOr404(call, rest[0]))
  if (call.method !== 'GET') throw new HubspotFailure(405, 'VALIDATION_ERROR', 'Method not allowed')
  if (rest[1] === undefined) return ok({ results: [...known.values()].map(propertyBody) })
  const found = known.get(rest[1])
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
