/** Records as the API answers them: values are text or null, times are ISO text. */
import type { Portal } from './portal.ts'
import type { CrmRecord } from './record.ts'
import { ALWAYS_ANSWERED, DEFAULT_PROPERTIES, LAST_MODIFIED, type ObjectType } from './schema.ts'

export interface ReadShape {
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
  const properties = asked.length === 0 ? DEFAULT_PROPERTIES[type] : [...new Set([...named, ...ALWAYS_ANSWERED[type]])]
  return { properties, history: history.filter((name) => known.has(name)) }
}

/** null: the property is not set. */
export function propertyValue(record: CrmRecord, name: string): string | null {
  if (name === 'hs_object_id') return String(record.id)
  if (name === LAST_MODIFIED[record.type]) return iso(record.modifiedMs)
  return record.properties[name] ?? (name === 'createdate' ? iso(record.createdMs) : null)
}

function historyOf(record: CrmRecord, name: string): readonly object[] {
  const versions = record.history.get(name)
  if (versions === undefined) return []
  return versions.map(({ value, atMs, source }) => ({ value, timestamp: iso(atMs), sourceType: source }))
}

export function recordBody(record: CrmRecord, shape: ReadShape): Record<string, unknown> {
  const properties: Record<string, string | null> = {}
  for (const name of shape.properties) properties[name] = propertyValue(record, name)
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
