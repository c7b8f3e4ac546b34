/**
 * A portal read back from JSON (dump.ts).
 * Invariant: only the outline is checked; a dump is written by this simulator, a hand-made one is its maker's affair.
 */
import { isObject } from './body.ts'
import { SimulatorClock } from './clock.ts'
import type { DumpedRecord, PortalDump } from './dump.ts'
import type { TypeSpec } from './object-types.ts'
import { Portal } from './portal.ts'
import { CrmRecord } from './record.ts'
import type { PortalOptions } from './store.ts'

function isDump(value: unknown): value is PortalDump {
  return isObject(value) && value.version === 1 && isObject(value.records) && typeof value.nowMs === 'number'
}

/** The clock runs on from where the dump was taken, unless one is given; the index is up to date. */
export function loadPortal(value: unknown, options: PortalOptions = {}): Portal {
  if (!isDump(value)) throw new Error('This is no portal as GET /__sim/state gives it.')
  const clock = options.clock ?? SimulatorClock.running()
  if (options.clock === undefined) clock.set(value.nowMs)
  const portal = new Portal({ seed: value.seed, ...options, clock })
  for (const object of value.objects ?? []) portal.types.define(object)
  for (const [from, to, label] of value.labels ?? []) portal.edges.define(from, to, label)
  for (const owner of value.owners ?? []) portal.owners.adopt(owner)
  for (const spec of portal.types.all()) {
    portal.store(spec)
    for (const definition of value.definitions[spec.name] ?? []) portal.defineProperty(spec.name, definition)
    for (const dumped of value.records[spec.name] ?? []) portal.adopt(restored(spec, dumped))
  }
  for (const [from, fromId, to, toId, typeId, category] of value.associations)
    portal.edges.add({ from, fromId, to, toId, typeId, category })
  for (const [type, oldId, newId] of value.aliases) portal.adoptAlias(type, oldId, newId)
  return portal
}

function restored(spec: TypeSpec, dumped: DumpedRecord): CrmRecord {
  const record = new CrmRecord(spec, dumped.id, dumped.createdMs)
  record.modifiedMs = dumped.modifiedMs
  record.archivedMs = dumped.archivedMs
  record.properties = dumped.properties
  for (const [name, versions] of Object.entries(dumped.history)) record.history.set(name, [...versions])
  return record
}
