/**
 * Records that were set aside whole: rejects of connectors, records that could not be published or read from a topic.
 * Invariant: what is of the record or about it is told from the kept record itself; one that cannot be read is told from
 * its key alone.
 */
import type { SourceRow, Table } from '../define/index.ts'
import type { Pass } from './places.ts'
import type { Subject } from './subject.ts'

const decoded = (base64: string | null) => (base64 === null ? null : Buffer.from(base64, 'base64').toString('utf8'))

function parsed(text: string | null): unknown {
  if (text === null) return null
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const isRow = (value: unknown): value is SourceRow =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Columns of `table` that hold the key of the record. */
function columnsIn({ table, about }: Subject, id: string): readonly string[] {
  const own = table.id === id ? table.key : []
  return [...own, ...about.filter((one) => one.table.id === id).map(({ column }) => column)]
}

function names(subject: Subject, table: string, value: unknown, key: string): boolean {
  return isRow(value) && columnsIn(subject, table).some((column) => String(value[column] ?? '') === key)
}

interface RejectRow {
  readonly id: bigint
  readonly source_table: string
  readonly key: string | null
  readonly raw: string
}

async function removeRejects(run: Pass): Promise<void> {
  const { database, subject, key } = run
  const tables = [subject.table.id, ...subject.about.map(({ table }) => table.id)]
  const { rows } = await database.query<RejectRow>(
    'select id, source_table, key, raw from rescore.reject where source_table = any($1)',
    [tables],
  )
  const ids = rows
    .filter((row) => {
      if (row.source_table === subject.table.id && row.key === key) return true
      const raw = parsed(row.raw)
      const scope = isRow(raw) ? raw.scope : undefined
      return names(subject, row.source_table, raw, key) || names(subject, row.source_table, scope, key)
    })
    .map(({ id }) => String(id))
  if (ids.length > 0) await run.remove('rescore.reject', 'delete from rescore.reject where id = any($1)', [ids])
}

interface KeptRow {
  readonly ctid: string
  readonly topic: string
  readonly key: string | null
  readonly value: string | null
}

/** Tables whose topics hold something of the record: `<prefix>.<schema>.<table>`. */
function topicTables(subject: Subject): readonly string[] {
  const derived = subject.entities.map(({ name }) => `rescore.features_${name}`)
  return [subject.table.id, ...subject.about.map(({ table }: { table: Table }) => table.id), ...derived]
}

function isOfRecord(subject: Subject, table: string, row: KeptRow, key: string): boolean {
  const value = parsed(decoded(row.value))
  const parts = [parsed(decoded(row.key)), value, isRow(value) ? value.before : null, isRow(value) ? value.after : null]
  if (table.startsWith('rescore.')) return parts.some((part) => isRow(part) && String(part.key ?? '') === key)
  return parts.some((part) => names(subject, table, part, key))
}

async function removeKept(run: Pass, place: 'rescore.unpublished' | 'rescore.dead_letter'): Promise<void> {
  const { database, subject, key } = run
  for (const table of topicTables(subject)) {
    const { rows } = await database.query<KeptRow>(
      `select ctid::text as ctid, topic, encode(key, 'base64') as key, encode(value, 'base64') as value from ${place}
       where right(topic, $2) = $1`,
      [`.${table}`, table.length + 1],
    )
    const found = rows.filter((row) => isOfRecord(subject, table, row, key)).map(({ ctid }) => ctid)
    if (found.length > 0) await run.remove(place, `delete from ${place} where ctid = any($1::tid[])`, [found])
  }
}

export async function asidePlaces(run: Pass): Promise<void> {
  await removeRejects(run)
  await removeKept(run, 'rescore.unpublished')
  await removeKept(run, 'rescore.dead_letter')
}
