/**
 * The set-based statements of the landing: one per run of like messages, rows passed as one JSON document.
 *
 * Invariant: a row that equals the stored one is not touched at all (no new row version, nothing in the log), so
 * repeated reads cost nothing downstream. Rows go in key order, so that two streams cannot deadlock on one table.
 */
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import { type CellValue, columnOf, POSTGRES_TYPE, type SourceRow, type Table } from '../define/index.ts'

/** What JSON can hold exactly: bigint as text, a time given in milliseconds as ISO text. */
function cell(table: Table, column: string, value: CellValue): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number' && columnOf(table, column).kind === 'timestamp') return new Date(value).toISOString()
  return value
}

/** Only these kinds of values may need another form; a row without them goes as it is, which is most of a load. */
const isPlain = (value: CellValue) => typeof value !== 'bigint' && typeof value !== 'number'

export function document(table: Table, rows: readonly SourceRow[]): string {
  return JSON.stringify(
    rows.map((row) =>
      Object.values(row).every(isPlain)
        ? row
        : Object.fromEntries(Object.entries(row).map(([column, value]) => [column, cell(table, column, value)])),
    ),
  )
}

const list = (columns: readonly string[], prefix = '') => columns.map((name) => prefix + quoteIdent(name)).join(', ')

const match = (columns: readonly string[], left: string, right: string) =>
  columns.map((name) => `${left}.${quoteIdent(name)} = ${right}.${quoteIdent(name)}`).join(' and ')

export function recordset(table: Table, columns: readonly string[], parameter: number, alias: string): string {
  const types = columns.map((name) => `${quoteIdent(name)} ${POSTGRES_TYPE[columnOf(table, name).kind]}`)
  return `json_to_recordset($${parameter}::json) as ${alias}(${types.join(', ')})`
}

export function keyText(table: Table, row: SourceRow): string {
  return table.key.map((column) => String(row[column] ?? '')).join('/')
}

/** The last row of a key wins: one statement must not touch a row twice. */
function lastOfEachKey(table: Table, rows: readonly SourceRow[]): readonly SourceRow[] {
  return [...new Map(rows.map((row) => [keyText(table, row), row])).values()]
}

/**
 * All rows hold the same columns.
 * @param newerBy rows whose stored value of this column is greater are left as they are
 * @returns rows written
 */
export async function upsertRows(
  client: Queryable,
  table: Table,
  rows: readonly SourceRow[],
  newerBy?: string,
): Promise<number> {
  const [first] = rows
  if (first === undefined) return 0
  const columns = Object.keys(first)
  const values = columns.filter((name) => !table.key.includes(name))
  const differs =
    values.length === 0 ? 'false' : `(${list(values, 't.')}) is distinct from (${list(values, 'r.')})`.replace(/^/, '')
  const newer = newerBy === undefined ? '' : ` and (t.${quoteIdent(newerBy)} > r.${quoteIdent(newerBy)}) is not true`
  const conflict =
    values.length === 0
      ? 'do nothing'
      : `do update set ${values.map((name) => `${quoteIdent(name)} = excluded.${quoteIdent(name)}`).join(', ')}
         where (${list(values, 't.')}) is distinct from (${list(values, 'excluded.')})
         ${newerBy === undefined ? '' : `and (t.${quoteIdent(newerBy)} > excluded.${quoteIdent(newerBy)}) is not true`}`
  const result = await client.query(
    `insert into ${quoteTable(table.id)} as t (${list(columns)})
     select ${list(columns, 'r.')} from ${recordset(table, columns, 1, 'r')}
     left join ${quoteTable(table.id)} t on ${match(table.key, 't', 'r')}
     where t.${quoteIdent(table.key[0] ?? '')} is null or (${differs}${newer})
     order by ${list(table.key, 'r.')}
     on conflict (${list(table.key)}) ${conflict}`,
    [document(table, lastOfEachKey(table, rows))],
  )
  return result.rowCount ?? 0
}

/** Columns of rows that are stored already; others are passed over. All rows hold the same columns. @returns rows written */
export async function updateRows(client: Queryable, table: Table, rows: readonly SourceRow[]): Promise<number> {
  const columns = Object.keys(rows[0] ?? {})
  const values = columns.filter((name) => !table.key.includes(name))
  if (values.length === 0) return 0
  const result = await client.query(
    `update ${quoteTable(table.id)} t set ${values.map((name) => `${quoteIdent(name)} = r.${quoteIdent(name)}`).join(', ')}
     from ${recordset(table, columns, 1, 'r')}
     where ${match(table.key, 't', 'r')} and (${list(values, 't.')}) is distinct from (${list(values, 'r.')})`,
    [document(table, lastOfEachKey(table, rows))],
  )
  return result.rowCount ?? 0
}

/** @returns rows deleted */
export async function deleteRows(client: Queryable, table: Table, keys: readonly SourceRow[]): Promise<number> {
  const result = await client.query(
    `delete from ${quoteTable(table.id)} t using ${recordset(table, table.key, 1, 'r')} where ${match(table.key, 't', 'r')}`,
    [document(table, keys)],
  )
  return result.rowCount ?? 0
}

export interface Replacement {
  readonly scope: SourceRow
  readonly rows: readonly SourceRow[]
}

/** All scopes name the same columns. @returns rows written or deleted */
export async function replaceRows(
  client: Queryable,
  table: Table,
  replacements: readonly Replacement[],
): Promise<number> {
  const [first] = replacements
  if (first === undefined) return 0
  const rows = replacements.flatMap((replacement) => replacement.rows)
  const scope = Object.keys(first.scope)
  const gone = await client.query(
    `delete from ${quoteTable(table.id)} t using ${recordset(table, scope, 1, 's')}
     where ${match(scope, 't', 's')}
       and not exists (select from ${recordset(table, table.key, 2, 'r')} where ${match(table.key, 't', 'r')})`,
    [
      document(
        table,
        replacements.map((replacement) => replacement.scope),
      ),
      document(table, rows),
    ],
  )
  let written = gone.rowCount ?? 0
  for (const like of sameColumns(rows)) written += await upsertRows(client, table, like)
  return written
}

/** Rows in their order, cut where the set of columns changes. */
export function sameColumns(rows: readonly SourceRow[]): readonly (readonly SourceRow[])[] {
  const groups = new Map<string, SourceRow[]>()
  for (const row of rows) {
    const signature = Object.keys(row).sort().join(',')
    const group = groups.get(signature)
    if (group === undefined) groups.set(signature, [row])
    else group.push(row)
  }
  return [...groups.values()]
}

export interface SweepRange {
  /** Default: the key. */
  readonly column?: string
  /** Exclusive; null: from the lowest key. */
  readonly after: bigint | null
  /** Inclusive. */
  readonly upTo: bigint
  readonly present: readonly bigint[]
}

/** Deletes the rows of a key range that the source no longer lists. @returns rows deleted */
export async function sweepRange(client: Queryable, table: Table, range: SweepRange): Promise<number> {
  const key = quoteIdent(range.column ?? table.key[0] ?? '')
  const result = await client.query(
    `delete from ${quoteTable(table.id)} where ${key} <= $1 and ($2::bigint is null or ${key} > $2)
       and ${key} <> all($3::bigint[])`,
    [range.upTo.toString(), range.after?.toString() ?? null, range.present.map(String)],
  )
  return result.rowCount ?? 0
}
