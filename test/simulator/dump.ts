/** A portal as JSON: what `GET /__sim/state` answers. load.ts reads it back. */

import type { Category } from './edges.ts'
import type { CustomObject, ObjectType } from './object-types.ts'
import type { Owner } from './owners.ts'
import type { Portal } from './portal.ts'
import type { PropertyVersion } from './record.ts'
import type { PropertyDefinition } from './schema.ts'

export interface DumpedRecord {
  readonly id: number
  readonly createdMs: number
  readonly modifiedMs: number
  readonly archivedMs: number | null
  readonly properties: Readonly<Record<string, string>>
  readonly history: Readonly<Record<string, readonly PropertyVersion[]>>
}

export interface PortalDump {
  readonly version: 1
  readonly nowMs: number
  readonly seed: number
  readonly definitions: Readonly<Record<ObjectType, readonly PropertyDefinition[]>>
  readonly records: Readonly<Record<ObjectType, readonly DumpedRecord[]>>
  /** In the order they were defined in. */
  readonly objects?: readonly CustomObject[]
  /** Of the portal's own: [from, to, label] in the order they were defined in. */
  readonly labels?: readonly (readonly [ObjectType, ObjectType, string | null])[]
  readonly owners?: readonly Owner[]
  /** [from, from id, to, to id, type id, category]; without a category HubSpot's own */
  readonly associations: readonly (readonly [ObjectType, number, ObjectType, number, number, Category?])[]
  /** [type, old id, new id] */
  readonly aliases: readonly (readonly [ObjectType, number, number])[]
}

export function dumpPortal(portal: Portal): PortalDump {
  const types = portal.types.all()
  const byType = <T>(make: (type: ObjectType) => T): Readonly<Record<ObjectType, T>> =>
    Object.fromEntries(types.map(({ name }) => [name, make(name)]))
  return {
    version: 1,
    nowMs: portal.clock.now(),
    seed: portal.seed,
    objects: portal.types.custom(),
    labels: portal.edges.own(),
    owners: portal.owners.all(),
    definitions: byType((type) => [...portal.definitions(type).values()]),
    records: byType((type) =>
      [...portal.records(type).from(0)].map((record) => ({
        id: record.id,
        createdMs: record.createdMs,
        modifiedMs: record.modifiedMs,
        archivedMs: record.archivedMs,
        properties: record.properties,
        history: Object.fromEntries(record.history),
      })),
    ),
    associations: [...portal.edges.all()].map(({ from, fromId, to, toId, typeId, category }) => [
      from,
      fromId,
      to,
      toId,
      typeId,
      category,
    ]),
    aliases: types.flatMap(({ name }) =>
      [...portal.aliases(name)].map(([oldId, newId]) => [name, oldId, newId] as const),
    ),
  }
}
