/**
 * One object type of the portal as this connector reads it, and how its records become messages.
 * Invariant: every way of reading a record (list, search, sweep) goes through here, so all write the same row.
 */
import type { DeleteReason, Message, SourceContext, Table } from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { coerceRecord, coerceValue, propertiesOf } from './coerce.ts'
import { type HubspotRecord, pageSize, type ReadOptions, readRecord, readRecords } from './records.ts'

/** A table whose rows belong to a record, and the column that says to which. */
export interface Companion {
  readonly table: Table
  readonly column: string
}

/** Edges of this type, as seen from it. */
export interface EdgeSpec {
  readonly to: string
  readonly table: Table
  readonly fromColumn: string
  readonly toColumn: string
}

export interface ObjectType {
  /** As the portal's paths take it and its stream is named: `companies`, or a custom object by its name. */
  readonly type: string
  readonly table: Table
  /** Property that says when a record was last modified. */
  readonly cursor: string
  readonly edges: readonly EdgeSpec[]
  /** Edges of other types that lead to this one: read from there, but they go with the record. */
  readonly edgesHere: readonly Companion[]
  /** Where past values of `historyProperties` go, if anywhere. */
  readonly historyTable: Table | undefined
  readonly historyProperties: readonly string[]
}

/** Old ids that a merged record carries; unknown properties are ignored by HubSpot in reads. */
const MERGED_IDS = ['hs_merged_object_ids', 'hs_calculated_merged_vids']

export function readOptionsOf(object: ObjectType): ReadOptions {
  return {
    type: object.type,
    properties: [...new Set([...propertiesOf(object.table), object.cursor, ...MERGED_IDS])],
    history: object.historyProperties,
  }
}

/** Tables whose rows belong to a record of this type and are read with it. */
export function companionsOf(object: ObjectType): readonly Companion[] {
  const edges = object.edges.map(({ table, fromColumn }) => ({ table, column: fromColumn }))
  return object.historyTable === undefined ? edges : [...edges, { table: object.historyTable, column: 'company_id' }]
}

/** What belonged to a record that is no more goes with it. */
export function* withoutCompanions(object: ObjectType, id: string): Generator<Message<never>> {
  for (const { table, column } of companionsOf(object)) {
    yield { op: 'replace', table, scope: { [column]: id }, rows: [] }
  }
}

/** The record that was looked for by its id is gone, and with it everything that names it. */
function* goneMessages(object: ObjectType, id: string, reason: DeleteReason): Generator<Message<never>> {
  yield { op: 'delete', table: object.table, key: { id }, reason }
  yield* withoutCompanions(object, id)
  for (const { table, column } of object.edgesHere) {
    yield { op: 'replace', table, scope: { [column]: id }, rows: [] }
  }
}

function* mergeMessages(object: ObjectType, record: HubspotRecord): Generator<Message<never>> {
  for (const property of MERGED_IDS) {
    for (const part of (record.properties[property] ?? '').split(';')) {
      const from = part.split(':')[0]?.trim() ?? ''
      if (/^\d+$/.test(from) && from !== record.id) {
        yield { op: 'merge', table: object.table, from: { id: from }, into: { id: record.id } }
        yield* withoutCompanions(object, from)
      }
    }
  }
}

/** Added, never replaced: HubSpot forgets old versions, the table keeps them. */
function* historyMessages(object: ObjectType, record: HubspotRecord): Generator<Message<never>> {
  const table = object.historyTable
  if (table === undefined) return
  for (const [property, versions] of Object.entries(record.propertiesWithHistory ?? {})) {
    if (!object.historyProperties.includes(property)) continue
    for (const { value, timestamp, sourceType } of versions) {
      const changedAt = coerceValue('timestamp', timestamp)
      if (changedAt === undefined || changedAt === null) continue
      const row = {
        company_id: record.id,
        property,
        changed_at: changedAt,
        value: coerceValue('text', value) ?? null,
        source_type: sourceType ?? null,
      }
      yield { op: 'upsert', table, row }
    }
  }
}

/** Messages of records as they are now; grouped by table, so that they land in few statements. */
export function* recordMessages(object: ObjectType, records: readonly HubspotRecord[]): Generator<Message<never>> {
  const newerBy = Object.hasOwn(object.table.columns, object.cursor) ? { newerBy: object.cursor } : {}
  for (const record of records) {
    yield {
      op: 'upsert',
      table: object.table,
      row: coerceRecord(object.table, record.id, record.properties),
      ...newerBy,
    }
  }
  for (const record of records) yield* mergeMessages(object, record)
  for (const record of records) yield* historyMessages(object, record)
}

export interface FetchedRecords {
  readonly records: readonly HubspotRecord[]
  readonly messages: readonly Message<never>[]
  /** Ids that are nowhere, not even in the recycle bin. */
  readonly nowhere: readonly string[]
}

/** What became of an id that is neither among the live nor among the archived records: merged, or nowhere. */
async function soughtRecord(
  api: HubspotApi,
  context: SourceContext,
  object: ObjectType,
  id: string,
): Promise<FetchedRecords> {
  const { table } = object
  const found = await readRecord(api, context, { ...readOptionsOf(object), history: [], id })
  if (found === undefined) {
    // Erased for privacy, or beyond the 90 days of the recycle bin: nothing of it is kept.
    return { records: [], messages: [...goneMessages(object, id, 'privacy')], nowhere: [id] }
  }
  const merge: Message<never>[] =
    found.id === id
      ? []
      : [{ op: 'merge', table, from: { id }, into: { id: found.id } }, ...withoutCompanions(object, id)]
  return { records: [found], messages: [...recordMessages(object, [found]), ...merge], nowhere: [] }
}

/** Current records of `ids` (at most one page of them), and a delete or merge for each that is no longer there. */
export async function fetchRecords(
  api: HubspotApi,
  context: SourceContext,
  object: ObjectType,
  ids: readonly string[],
): Promise<FetchedRecords> {
  const options = readOptionsOf(object)
  const records: HubspotRecord[] = []
  const nowhere: string[] = []
  const size = pageSize(options)
  for (let start = 0; start < ids.length; start += size) {
    records.push(...(await readRecords(api, context, { ...options, ids: ids.slice(start, start + size) })))
  }
  const messages = [...recordMessages(object, records)]
  const answered = new Set(records.map((record) => record.id))
  const missing = ids.filter((id) => !answered.has(id))
  if (missing.length === 0) return { records, messages, nowhere }
  const bin = { ...options, properties: [object.cursor], history: [], ids: missing, archived: true }
  const archived = new Set((await readRecords(api, context, bin)).map(({ id }) => id))
  for (const id of missing) {
    if (archived.has(id)) {
      messages.push(...goneMessages(object, id, 'archived'))
      continue
    }
    const sought = await soughtRecord(api, context, object, id)
    records.push(...sought.records)
    messages.push(...sought.messages)
    nowhere.push(...sought.nowhere)
  }
  return { records, messages, nowhere }
}
