/**
 * Reading whole rows in one snapshot, in bounded pieces.
 * Invariant: nothing is computed in SQL; what a query returns is what the tables hold.
 */
import { type Client, quoteIdent, quoteTable } from '../../db/pool.ts'
import { type ColumnKind, columnOf, POSTGRES_TYPE, type Table } from '../../define/index.ts'
import type { Row } from './values.ts'

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const INTEGER_BITS: Readonly<Partial<Record<ColumnKind, number>>> = { integer: 32, bigint: 64 }

/** Those texts that are values of the kind; a key of another form names no row. */
function valuesOf(kind: ColumnKind, texts: Iterable<string>): string[] {
  if (kind === 'uuid') return [...texts].filter((text) => UUID.test(text))
  const bits = INTEGER_BITS[kind]
  if (bits === undefined) return [...texts]
  return [...texts].filter((text) => /^-?\d{1,19}$/.test(text) && BigInt.asIntN(bits, BigInt(text)) === BigInt(text))
}

/** Rows of `table` whose `column` is one of `texts`, declared columns only. */
export async function rowsWhere(
  client: Client,
  table: Table,
  column: string,
  texts: Iterable<string>,
): Promise<readonly Row[]> {
  const { kind } = columnOf(table, column)
  const values = valuesOf(kind, texts)
  if (values.length === 0) return []
  const columns = Object.keys(table.columns).map(quoteIdent).join(', ')
  const { rows } = await client.query<Row>(
    `select ${columns} from ${quoteTable(table.id)} where ${quoteIdent(column)} = any($1::text[]::${POSTGRES_TYPE[kind]}[])`,
    [values],
  )
  return rows
}

/** Rows of a feature table with these keys. */
export async function featureRows(
  client: Client,
  featureTable: string,
  kind: ColumnKind,
  keys: readonly string[],
): Promise<readonly Row[]> {
  const { rows } = await client.query<Row>(
    `select * from ${quoteTable(featureTable)} where key = any($1::text[]::${POSTGRES_TYPE[kind]}[])`,
    [valuesOf(kind, keys)],
  )
  return rows
}

let cursors = 0

/** The result of a query, `size` rows at a time: memory holds one piece. */
export async function* pieces(
  client: Client,
  query: { readonly text: string; readonly values: unknown[] },
  size: number,
): AsyncGenerator<readonly Row[]> {
  cursors += 1
  const cursor = `verify_${cursors}`
  await client.query(`declare ${cursor} no scroll cursor for ${query.text}`, query.values)
  for (;;) {
    const { rows } = await client.query<Row>(`fetch ${size} from ${cursor}`)
    if (rows.length > 0) yield rows
    if (rows.length < size) break
  }
  await client.query(`close ${cursor}`)
}
