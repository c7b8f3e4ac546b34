/**
 * Source tables in the database, made from their declarations.
 *
 * Invariant: only ever adds (schema, table, column, index); an existing column of another type, or a table of another
 * key, is refused, because changing it would rewrite the user's data. Every table gets replica identity full, so that the
 * log holds the old values. One transaction: a crash leaves nothing half made, and a second run finds nothing to do.
 */
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Queryable, quoteIdent, quoteTable } from '../db/pool.ts'
import { POSTGRES_TYPE, type Table } from '../define/index.ts'
import { RescoreError } from '../errors.ts'

/** How information_schema names the types, by how we write them. */
const CATALOG_NAME: Readonly<Record<string, string>> = { timestamptz: 'timestamp with time zone' }

export interface ColumnReference {
  readonly table: Table
  readonly column: string
}

function createTable(table: Table): string {
  const columns = Object.entries(table.columns).map(
    ([name, column]) => `${quoteIdent(name)} ${POSTGRES_TYPE[column.kind]}${column.nullable ? '' : ' not null'}`,
  )
  const key = table.key.map(quoteIdent).join(', ')
  return `create table if not exists ${quoteTable(table.id)} (${columns.join(', ')}, primary key (${key}))`
}

async function existingColumns(client: Queryable, table: Table): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ column_name: string; data_type: string }>(
    'select column_name, data_type from information_schema.columns where table_schema = $1 and table_name = $2',
    [table.schema, table.name],
  )
  return new Map(rows.map((row) => [row.column_name, row.data_type]))
}

/** A row is found by its key: with another one in the database every record would be refused. */
async function assertKey(client: Queryable, table: Table): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    `select a.attname as name from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)
     where i.indrelid = $1::regclass and i.indisprimary order by 1`,
    [quoteTable(table.id)],
  )
  const found = rows.map(({ name }) => name).join(', ')
  const declared = [...table.key].sort().join(', ')
  if (found === '' || found === declared) return
  throw new RescoreError({
    code: 'CONNECT_TABLE_KEY',
    fate: 'stop',
    message: `Table ${table.id} is keyed by ${found} in the database but by ${declared} in the declaration.`,
    mend: `Declare the key as it is, or have the table made anew and filled by the connector: drop table ${table.id};`,
    context: { table: table.id },
  })
}

async function ensureTable(client: Queryable, table: Table): Promise<void> {
  await client.query(`create schema if not exists ${quoteIdent(table.schema)}`)
  await client.query(createTable(table))
  await assertKey(client, table)
  const existing = await existingColumns(client, table)
  for (const [name, column] of Object.entries(table.columns)) {
    const type = POSTGRES_TYPE[column.kind]
    const found = existing.get(name)
    if (found === undefined) {
      await client.query(`alter table ${quoteTable(table.id)} add column ${quoteIdent(name)} ${type}`)
    } else if (found !== (CATALOG_NAME[type] ?? type)) {
      throw new RescoreError({
        code: 'CONNECT_COLUMN_TYPE',
        fate: 'stop',
        message: `Column ${table.id}.${name} is ${found} in the database but ${column.kind}() (${type}) in the declaration.`,
        mend: `Declare the column as it is, or change it: alter table ${table.id} alter column ${name} type ${type} using ${name}::${type};`,
        context: { table: table.id, column: name },
      })
    }
  }
  const { rows } = await client.query<{ relreplident: string }>(
    'select relreplident from pg_class where oid = $1::regclass',
    [quoteTable(table.id)],
  )
  if (rows[0]?.relreplident !== 'f') await client.query(`alter table ${quoteTable(table.id)} replica identity full`)
}

/**
 * @param client a connection inside a transaction
 * @param foreignKeys columns that relations go through; each gets an index. No other column does: a load pays for every
 *   index on every row
 * @throws RescoreError CONNECT_COLUMN_TYPE, CONNECT_TABLE_KEY
 */
export async function ensureSourceTables(
  client: Queryable,
  tables: readonly Table[],
  foreignKeys: readonly ColumnReference[] = [],
): Promise<void> {
  await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.sourceTables])
  const unique = [...new Map(tables.map((table) => [table.id, table])).values()]
  for (const table of unique) await ensureTable(client, table)
  for (const { table, column } of foreignKeys) {
    // The primary key serves it.
    if (table.key[0] === column) continue
    // Another connector's, which has not made it yet: it comes with the same columns to index.
    const { rows } = await client.query<{ isThere: boolean }>('select to_regclass($1) is not null as "isThere"', [
      quoteTable(table.id),
    ])
    if (rows[0]?.isThere !== true) continue
    const name = `${table.name}_${column}_idx`.slice(0, 63)
    await client.query(
      `create index if not exists ${quoteIdent(name)} on ${quoteTable(table.id)} (${quoteIdent(column)})`,
    )
  }
}
