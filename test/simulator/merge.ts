/** The record that takes the place of two: the first one's values win, both histories and ids are kept. */
import { CrmRecord } from './record.ts'

export function mergedRecord(first: CrmRecord, second: CrmRecord, id: number, nowMs: number): CrmRecord {
  const { spec } = first
  const merged = new CrmRecord(spec, id, Math.min(first.createdMs, second.createdMs))
  for (const source of [second, first]) {
    for (const [name, versions] of source.history) merged.history.set(name, [...versions])
  }
  const property = spec.mergedIds
  merged.properties = { ...second.properties, ...first.properties }
  // A contact's carry the time of the merge.
  const named = (source: CrmRecord) => (spec.name === 'contacts' ? `${source.id}:${nowMs}` : String(source.id))
  const ids = [first, second].flatMap((source) => [source.properties[property] ?? [], named(source)].flat())
  merged.properties = { ...merged.properties, [property]: ids.join(';') }
  return merged
}
