/**
 * Records that were erased, kept out whoever reads them again: a stream, a webhook, a replayed reject.
 *
 * Invariants: looked up in the transaction that lands, so that what is erased before it is never landed by it; only keyed
 * hashes are compared, of the record and of each record it is about; where nothing was ever erased it costs one look.
 */
import { createHmac } from 'node:crypto'
import type { Queryable } from '../db/pool.ts'
import type { SourceRow, Table } from '../define/index.ts'
import type { Landable, StreamIdentity } from './landing.ts'
import { keyText } from './landing-sql.ts'
import { ETAG } from './rest/records.ts'

/** Of a record by its table and its key as text (`a/b` where it has two columns). */
export function hashRecord(secret: Uint8Array, table: string, key: string): string {
  return createHmac('sha256', secret).update(`${table}\n${key}`).digest('hex')
}

export async function readSecret(database: Queryable): Promise<Buffer> {
  const { rows } = await database.query<{ secret: Buffer }>('select secret from rescore.erase_secret')
  const [row] = rows
  if (row === undefined) throw new Error('rescore.erase_secret is empty: it is filled by the migration that makes it.')
  return row.secret
}

/** The hashes a row must not have among them. */
function subjectsOf(secret: Uint8Array, table: Table, row: SourceRow): readonly string[] {
  const about = table.about.flatMap(({ column, table: of }) => {
    const value = row[column]
    return value === undefined || value === null ? [] : [hashRecord(secret, of.id, String(value))]
  })
  return [hashRecord(secret, table.id, keyText(table, row)), ...about]
}

function isRow(value: unknown): value is SourceRow {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Rows by which a message would bring something back. */
function rowsIn(message: Landable): readonly SourceRow[] {
  switch (message.op) {
    case 'upsert':
      return [message.row]
    case 'replace':
      return message.rows
    case 'merge':
      return [message.from, message.into]
    case 'listed':
      return message.keys
    case 'reject':
      return isRow(message.raw) ? [message.raw] : []
    default:
      return []
  }
}

async function suppressed(database: Queryable, hashes: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const { rows } = await database.query<{ hash: string }>(
    `select encode(hash, 'hex') as hash from rescore.suppression
     where hash in (select decode(h, 'hex') from unnest($1::text[]) h)`,
    [[...hashes]],
  )
  return new Set(rows.map(({ hash }) => hash))
}

/** Null: nothing was ever erased. */
async function secretIfNeeded(database: Queryable): Promise<Buffer | null> {
  const { rows } = await database.query<{ secret: Buffer }>(
    'select secret from rescore.erase_secret where exists (select from rescore.suppression)',
  )
  return rows[0]?.secret ?? null
}

/** The message without what was erased; null: nothing of it is left. */
function cleaned(message: Landable, isErased: (table: Table, row: SourceRow) => boolean): Landable | null {
  switch (message.op) {
    case 'upsert':
      return isErased(message.table, message.row) ? null : message
    case 'replace':
      return { ...message, rows: message.rows.filter((row) => !isErased(message.table, row)) }
    case 'listed':
      return { ...message, keys: message.keys.filter((key) => !isErased(message.table, key)) }
    case 'merge': {
      // No alias: it would hold the key that was erased.
      const { table, from, into } = message
      const names = isErased(table, from) || isErased(table, into)
      return names ? { op: 'delete', table, key: from, reason: 'gone' } : message
    }
    case 'reject':
      return isRow(message.raw) && isErased(message.table, message.raw) ? null : message
    default:
      return message
  }
}

type Stream = Pick<StreamIdentity, 'connector' | 'stream'>

/** Of a fact a stream remembers about one record. */
export function hashMemory(secret: Uint8Array, { connector, stream }: Stream, name: string): string {
  return hashRecord(secret, `memory of ${connector}/${stream}`, name)
}

/** Under which names a stream may remember something of a record: its key, and the ETag of its answer. */
export function memoryNames(key: string): readonly string[] {
  return [key, ETAG + key]
}

export async function withoutErased(
  database: Queryable,
  identity: Stream,
  messages: readonly Landable[],
): Promise<readonly Landable[]> {
  const secret = messages.length === 0 ? null : await secretIfNeeded(database)
  if (secret === null) return messages
  const known = new Map<SourceRow, readonly string[]>()
  const facts = new Map<Landable, string>()
  for (const message of messages) {
    if (message.op === 'remember') {
      facts.set(message, hashMemory(secret, identity, message.name))
      continue
    }
    for (const row of rowsIn(message)) known.set(row, subjectsOf(secret, message.table, row))
  }
  const erased = await suppressed(database, new Set([...[...known.values()].flat(), ...facts.values()]))
  if (erased.size === 0) return messages
  const isErased = (_: Table, row: SourceRow) => known.get(row)?.some((hash) => erased.has(hash)) === true
  return messages.flatMap((message) => (erased.has(facts.get(message) ?? '') ? [] : (cleaned(message, isErased) ?? [])))
}

/** Keys of `table`, as text, that were not erased. */
export async function keysNotErased(
  database: Queryable,
  table: Table,
  keys: readonly string[],
): Promise<ReadonlySet<string>> {
  const secret = keys.length === 0 ? null : await secretIfNeeded(database)
  if (secret === null) return new Set(keys)
  const hashes = new Map(keys.map((key) => [key, hashRecord(secret, table.id, key)]))
  const erased = await suppressed(database, new Set(hashes.values()))
  return new Set(keys.filter((key) => !erased.has(hashes.get(key) ?? '')))
}
