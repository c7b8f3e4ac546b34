/** A portal as JSON: what `GET /__sim/state` answers. load.ts reads it back. */
import type { Portal } from './portal.ts'
import type { PropertyVersion } from './record.ts'
import { OBJECT_TYPES, type ObjectType, type PropertyDefinition } from './schema.ts'

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
  /** [from, from id, to, to id, type id] */
  readonly associations: readonly (readonly [ObjectType, number, ObjectType, number, number])[]
  /** [type, old id, new id] */
  readonly aliases: readonly (readonly [ObjectType, number, number])[]
}

function byType<T>(make: (type: ObjectType) => T): Readonly<Record<ObjectType, T>> {
  return { companies: make('companies'), contacts: make('contacts'), deals: make('deals') }
}

export function dumpPortal(portal: Portal): PortalDump {
  return {
    version: 1,
    nowMs: portal.clock.now(),
    seed: portal.seed,
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
    associations: [...portal.edges.all()].map(({ from, fromId, to, toId, typeId }) => [from, fromId, to, toId, typeId]),
    aliases: OBJECT_TYPES.flatMap((type) =>
      [...portal.aliases(type)].map(([oldId, newId]) => [type, oldId, newId] as const),
    ),
  }
}
