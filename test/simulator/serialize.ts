/** Records as the API answers them: values are text or null, times are ISO text. */

import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import type { CrmRecord } from './record.ts'

export interface ReadShape {
  readonly portal: Portal
  readonly properties: readonly string[]
  readonly history: readonly string[]
}

const isoCache = { ms: Number.NaN, text: '' }
function iso(ms: number): string {
  if (isoCache.ms !== ms) Object.assign(isoCache, { ms, text: new Date(ms).toISOString() })
  return isoCache.text
}

/** Names to answer: those asked for that exist, and those HubSpot always adds. Unknown names are ignored. */
export function readShape(
  portal: Portal,
  type: ObjectType,
  asked: readonly string[],
  history: readonly string[],
): ReadShape {
  const known = portal.definitions(type)
  const named = asked.filter((name) => known.has(name))
  const { defaults, created, lastModified } = portal.types.get(type)
  const always = [created, lastModified, 'hs_object_id']
  const properties = asked.length === 0 ? defaults : [...new Set([...named, ...always])]
  return { portal, properties, history: history.filter((name) => known.has(name)) }
}

/** Associated records that are live: one that is archived has no associations anyone can see. */
export function liveTargets(portal: Portal, record: CrmRecord, to: ObjectType) {
  return portal.edges.of(record.type, record.id, to).filter(([id]) => portal.get(to, id) !== undefined)
}

/** null: the property is not set. */
export function propertyValue(portal: Portal, record: CrmRecord, name: string): string | null {
  const { created, lastModified } = record.spec
  if (name === 'hs_object_id') return String(record.id)
  if (name === lastModified) return iso(record.modifiedMs)
  const counts = portal.definitions(record.type).get(name)?.counts
  if (counts !== undefined) return String(liveTargets(portal, record, counts).length)
  return record.properties[name] ?? (name === created ? iso(record.createdMs) : null)
}

function historyOf(record: CrmRecord, name: string): readonly object[] {
  const versions = record.history.get(name)
  if (versions === undefined) return []
  return versions.map(({ value, atMs, source }) => ({ value, timestamp: iso(atMs), sourceType: source }))
}

export function recordBody(record: CrmRecord, shape: ReadShape): Record<string, unknown> {
  const properties: Record<string, string | null> = {}
  for (const name of shape.properties) properties[name] = propertyValue(shape.portal, record, name)
  const body: Record<string, unknown> = {
    id: String(record.id),
    properties,
    createdAt: iso(record.createdMs),
    updatedAt: iso(record.modifiedMs),
    archived: record.archivedMs !== null,
  }
  if (record.archivedMs !== null) body.archivedAt = iso(record.archivedMs)
  if (shape.history.length > 0) {
    body.propertiesWithHistory = Object.fromEntries(shape.history.map((name) => [name, historyOf(record, name)]))
  }
  return body
}
