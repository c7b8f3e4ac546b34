/**
 * A portal read back from JSON (dump.ts).
 * Invariant: only the outline is checked; a dump is written by this simulator, a hand-made one is its maker's affair.
 */
import { isObject } from './body.ts'
import { SimulatorClock } from './clock.ts'
import type { DumpedRecord, PortalDump } from './dump.ts'
import { Portal, type PortalOptions } from './portal.ts'
import { CrmRecord } from './record.ts'
import { OBJECT_TYPES, type ObjectType } from './schema.ts'

function isDump(value: unknown): value is PortalDump {
  return isObject(value) && value.version === 1 && isObject(value.records) && typeof value.nowMs === 'number'
}

/** The clock runs on from where the dump was taken, unless one is given; the index is up to date. */
export function loadPortal(value: unknown, options: PortalOptions = {}): Portal {
  if (!isDump(value)) throw new Error('This is no portal as GET /__sim/state gives it.')
  const clock = options.clock ?? SimulatorClock.running()
  if (options.clock === undefined) clock.set(value.nowMs)
  const portal = new Portal({ seed: value.seed, ...options, clock })
  for (const type of OBJECT_TYPES) {
    for (const definition of value.definitions[type]) portal.defineProperty(type, definition)
    for (const dumped of value.records[type]) portal.adopt(restored(type, dumped))
  }
  for (const [from, fromId, to, toId, typeId] of value.associations)
    portal.edges.add({ from, fromId, to, toId, typeId })
  for (const [type, oldId, newId] of value.aliases) portal.adoptAlias(type, oldId, newId)
  return portal
}

function restored(type: ObjectType, dumped: DumpedRecord): CrmRecord {
  const record = new CrmRecord(type, dumped.id, dumped.createdMs)
  record.modifiedMs = dumped.modifiedMs
  record.archivedMs = dumped.archivedMs
  record.properties = dumped.properties
  for (const [name, versions] of Object.entries(dumped.history)) record.history.set(name, [...versions])
  return record
}
