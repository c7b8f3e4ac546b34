/**
 * A piece of a table, read in one snapshot of the source while its stream stands still here, and put where it belongs in
 * the stream by a message that is written after it.
 *
 * The argument (watermarks after DBLog, with the snapshot itself in place of the low one). Every change taken from the
 * stream before is visible in the snapshot: that is checked, because a commit can be in the log a moment before it is
 * visible. Every change visible in the snapshot is in the log before the message. So between the snapshot and the message
 * all changes of these rows come by and are laid over them, in their order; what is left at the message is each row as it
 * is at that point of the stream, whether a change was in the snapshot already or not.
 *
 * Invariant: held in memory only. After a crash the piece is read again from the last key that was landed.
 */
import { AS_THE_POOL_PRINTS } from '../capture/plugin.ts'
import type { FoundTable } from '../capture/watchable.ts'
import { type Client, type Pool, quoteIdent } from '../db/pool.ts'
import type { CopiedTable } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import { areVisible, parseSnapshot } from '../log/visibility.ts'
import { bytesOf } from './batch.ts'
import { describe, isCopied, keyOf, type MutableRow, toRow } from './describe.ts'
import type { SourceTypes } from './types.ts'

export interface Chunk {
  readonly copied: CopiedTable
  /** Content of the message that says where it belongs. */
  readonly id: string
  readonly rows: Map<string, MutableRow>
  /** Key of its last row as the source prints it; null: there was none. */
  readonly last: readonly string[] | null
  readonly isLast: boolean
  /** About how much was read. */
  readonly bytes: number
}

/** What one checkpoint can take beside the changes that come meanwhile. */
export const CHUNK_BYTES = 16 * 1_048_576

/** The first rows within the bound, one at least, and how much all of them are. */
function bounded(rows: readonly MutableRow[]): { readonly kept: readonly MutableRow[]; readonly bytes: number } {
  let bytes = 0
  let kept = 0
  for (const row of rows) {
    bytes += bytesOf(row)
    if (bytes <= CHUNK_BYTES || kept === 0) kept += 1
  }
  return { kept: rows.slice(0, kept), bytes }
}

/** Prefix of the messages; the copies of one source tell theirs apart by content. */
export const WATERMARK = 'rescore-copy'

/** Values as the replication stream prints them: the output of each type, nothing parsed. */
const RAW_TEXT = { getTypeParser: () => (text: string) => text }

export interface ReadOptions {
  readonly pool: Pool
  readonly types: SourceTypes
  readonly copied: CopiedTable
  readonly found: FoundTable
}

function columnsOf({ copied, found }: ReadOptions): readonly string[] {
  return found.columns.filter(({ name, isGenerated }) => !isGenerated && isCopied(copied, name)).map(({ name }) => name)
}

function castOf({ found }: ReadOptions, column: string): string {
  return found.columns.find(({ name }) => name === column)?.cast ?? 'text'
}

async function select(
  client: Client | Pool,
  options: ReadOptions,
  tail: string,
  values: readonly unknown[],
): Promise<readonly MutableRow[]> {
  const columns = columnsOf(options)
  const { fields, rows } = await client.query<(string | null)[]>({
    text: `select ${columns.map(quoteIdent).join(', ')} from only ${options.found.id} ${tail}`,
    values: [...values],
    rowMode: 'array',
    types: RAW_TEXT,
  })
  const described = describe(
    options.copied,
    fields.map(({ name, dataTypeID }) => ({ name, oid: dataTypeID })),
    await options.types.of(fields.map(({ dataTypeID }) => dataTypeID)),
  )
  return rows.map((row) => toRow(described, Object.fromEntries(columns.map((name, at) => [name, row[at] ?? null]))))
}

/** In a transaction that sees what this session will see, printing as the stream does. */
async function inSnapshot<T>(pool: Pool, work: (client: Client, snapshot: string) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    await client.query('begin isolation level repeatable read read only')
    for (const setting of AS_THE_POOL_PRINTS) await client.query(setting.replace(/^set /, 'set local '))
    const { rows } = await client.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
    const result = await work(client, rows[0]?.snapshot ?? '')
    await client.query('commit')
    return result
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    client.release(failure)
  }
}

/**
 * @param xids of transactions taken from the stream, 32 bits each, not yet known to be visible
 * @param after key of the last row copied
 * @returns null: one of them is not visible yet, to be tried again
 */
export async function readChunk(
  options: ReadOptions,
  xids: readonly number[],
  after: readonly string[] | null,
  limit: number,
  id: string,
): Promise<Chunk | null> {
  const { copied, pool } = options
  const key = copied.table.key.map(quoteIdent).join(', ')
  const from = copied.table.key.map((column, at) => `$${at + 1}::text::${castOf(options, column)}`).join(', ')
  const where = after === null ? '' : `where (${key}) > (${from})`
  const rows = await inSnapshot(pool, async (client, snapshot) =>
    areVisible(snapshot, xids) || isPlanted('copy-visibility-not-checked')
      ? select(client, options, `${where} order by ${key} limit ${limit}`, after ?? [])
      : null,
  )
  if (rows === null) return null
  // Autocommitted, so its place in the log is after everything the snapshot saw.
  await pool.query('select pg_logical_emit_message(true, $1, $2)', [WATERMARK, id])
  const { kept, bytes } = bounded(rows)
  const last = kept.at(-1)
  return {
    copied,
    id,
    bytes,
    rows: new Map(kept.map((row) => [keyOf(copied, row), row])),
    last: last === undefined ? null : copied.table.key.map((column) => String(last[column] ?? '')),
    isLast: rows.length < limit && kept.length === rows.length,
  }
}

/** These rows as they are now; those that are not there are left out. */
export async function readRows(
  options: ReadOptions,
  keys: readonly (readonly string[])[],
): Promise<readonly MutableRow[]> {
  const { copied, pool } = options
  const rows: MutableRow[] = []
  for (const key of keys) {
    const where = copied.table.key.map((name, at) => `${quoteIdent(name)} = $${at + 1}::text::${castOf(options, name)}`)
    rows.push(...(await inSnapshot(pool, (client) => select(client, options, `where ${where.join(' and ')}`, key))))
  }
  return rows
}

/** Whether all these transactions are visible to whoever looks now, and every one below `below` has ended. */
export async function areAllVisible(pool: Pool, xids: readonly number[], below = 0n): Promise<boolean> {
  const { rows } = await pool.query<{ snapshot: string }>('select pg_current_snapshot()::text as snapshot')
  const text = rows[0]?.snapshot ?? ''
  return areVisible(text, xids) && parseSnapshot(text).first >= below
}
