/**
 * What the features of every entity must be, by the plainest way: all rows in memory, loops, no SQL but `select *`.
 * Shares nothing with src/recompute but the declarations.
 */
import type { Pool } from '../../src/db/pool.ts'
import { quoteTable } from '../../src/db/pool.ts'
import {
  type AggregateInput,
  type AnyFeature,
  type AnyInput,
  type ColumnKind,
  columnOf,
  type Hop,
  type Table,
} from '../../src/define/index.ts'
import type { EntityNode } from '../../src/graph/graph.ts'

type Row = Readonly<Record<string, unknown>>
type Rows = ReadonlyMap<string, readonly Row[]>

/** Rows with every value in PostgreSQL's text form, as the log carries them. */
export async function rawRows(pool: Pool, table: Table): Promise<readonly Readonly<Record<string, string | null>>[]> {
  const { rows } = await pool.query<Record<string, string | null>>({
    text: `select * from ${quoteTable(table.id)}`,
    types: { getTypeParser: () => (value: string) => value },
  })
  return rows
}

function decode(kind: ColumnKind, text: string): unknown {
  if (kind === 'bigint') return BigInt(text)
  if (kind === 'integer' || kind === 'number' || kind === 'float') return Number(text)
  if (kind === 'boolean') return text === 't'
  if (kind === 'json') return JSON.parse(text)
  if (kind !== 'timestamp') return text
  const [, whole = '', fraction = ''] = /^([^.+]+)(?:\.(\d+))?\+00$/.exec(text) ?? []
  return (Date.parse(`${whole.replace(' ', 'T')}Z`) * 1_000 + Number(fraction.padEnd(6, '0'))) / 1_000
}

export async function readTables(pool: Pool, tables: readonly Table[]): Promise<Rows> {
  const read = new Map<string, readonly Row[]>()
  for (const table of tables) {
    const rows = (await rawRows(pool, table)).map((row) =>
      Object.fromEntries(
        Object.entries(row).map(([name, text]) => [
          name,
          text === null ? null : decode(columnOf(table, name).kind, text),
        ]),
      ),
    )
    read.set(table.id, rows)
  }
  return read
}

/** By value; texts by their bytes; decimals by number, which is exact for those of the test. */
function compare(kind: ColumnKind, a: unknown, b: unknown): number {
  if (kind === 'uuid') return String(a).localeCompare(String(b).toLowerCase(), 'en')
  if (kind === 'text') return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
  const [x, y] = kind === 'decimal' ? [Number(a), Number(b)] : [a, b]
  if ((typeof x !== 'number' && typeof x !== 'bigint' && typeof x !== 'string') || typeof y !== typeof x) {
    return Number(x) - Number(y)
  }
  const other = y as typeof x
  return x < other ? -1 : x > other ? 1 : 0
}

function holds(kind: ColumnKind, value: unknown, wanted: unknown): boolean {
  const same = (each: unknown) => value !== null && compare(kind, value, each) === 0
  if (wanted === null) return value === null
  if (typeof wanted !== 'object') return same(wanted)
  const predicate = wanted as Readonly<Record<string, unknown>>
  if (Array.isArray(predicate.in)) return predicate.in.some(same)
  if (Array.isArray(predicate.notIn)) return !predicate.notIn.some(same)
  if ('isNull' in predicate) return (value === null) === predicate.isNull
  if ('not' in predicate) return predicate.not === null ? value !== null : !same(predicate.not)
  if (value === null) return false
  return (
    (predicate.gt === undefined || compare(kind, value, predicate.gt) > 0) &&
    (predicate.gte === undefined || compare(kind, value, predicate.gte) >= 0) &&
    (predicate.lt === undefined || compare(kind, value, predicate.lt) < 0) &&
    (predicate.lte === undefined || compare(kind, value, predicate.lte) <= 0)
  )
}

function satisfies(table: Table, where: Readonly<Record<string, unknown>>, row: Row): boolean {
  return Object.entries(where).every(([name, wanted]) => holds(columnOf(table, name).kind, row[name], wanted))
}

function reached(rows: Rows, path: readonly Hop[], key: unknown): readonly Row[] {
  let keys = new Set([String(key)])
  let found: readonly Row[] = []
  for (const hop of path) {
    const all = rows.get(hop.table.id) ?? []
    const own = hop.table.key[0] ?? ''
    if (hop.kind === 'foreign-key') found = all.filter((row) => keys.has(String(row[hop.column])))
    else {
      const linked = new Set(
        (rows.get(hop.through.id) ?? [])
          .filter((row) => keys.has(String(row[hop.from])) && satisfies(hop.through, hop.throughWhere, row))
          .map((row) => String(row[hop.to])),
      )
      found = all.filter((row) => linked.has(String(row[own])))
    }
    keys = new Set(found.map((row) => String(row[own])))
  }
  return found
}

function byKey(table: Table, a: Row, b: Row): number {
  for (const key of table.key) {
    const order = compare(columnOf(table, key).kind, a[key], b[key])
    if (order !== 0) return order
  }
  return 0
}

function ordered(table: Table, rows: readonly Row[], orderBy: string, direction: 1 | -1): readonly Row[] {
  const { kind } = columnOf(table, orderBy)
  return [...rows].sort((a, b) => {
    const [x, y] = [a[orderBy], b[orderBy]]
    if (x === null || y === null) return Number(x === null) - Number(y === null) || -byKey(table, a, b)
    return direction * compare(kind, x, y) || -byKey(table, a, b)
  })
}

/** Of the test's numbers, which are whole multiples of 1/100 and small: exact in hundredths. */
function exactSum(kind: ColumnKind, values: readonly unknown[]): number {
  if (kind === 'float') return values.length === 0 ? 0 : values.map(Number).reduce((sum, value) => sum + value)
  if (kind === 'bigint') return Number(values.reduce((sum: bigint, value) => sum + BigInt(String(value)), 0n))
  return values.reduce((sum: number, value) => sum + Math.round(Number(value) * 100), 0) / 100
}

function aggregate(rows: Rows, input: AggregateInput, key: unknown): unknown {
  const table = input.path.at(-1)?.table
  if (table === undefined) throw new Error('no path')
  const found = reached(rows, input.path, key).filter((row) => satisfies(table, input.where, row))
  const { operation } = input
  if (operation.op === 'count') return found.length
  if (operation.op === 'top') {
    const sorted = ordered(table, found, operation.orderBy, operation.order === 'asc' ? 1 : -1)
    return sorted
      .slice(0, operation.limit)
      .map((row) => Object.fromEntries(operation.columns.map((column) => [column, row[column]])))
  }
  const { kind } = columnOf(table, operation.column)
  if (operation.op === 'latest') return ordered(table, found, operation.orderBy, -1)[0]?.[operation.column] ?? null
  const inKeyOrder = [...found].sort((a, b) => byKey(table, a, b)).filter((row) => row[operation.column] !== null)
  const values = inKeyOrder.map((row) => row[operation.column])
  if (operation.op === 'countDistinct') {
    return values.filter((value, index) => values.findIndex((other) => compare(kind, value, other) === 0) === index)
      .length
  }
  if (operation.op === 'sum') return exactSum(kind, values)
  if (operation.op === 'avg') return values.length === 0 ? null : exactSum(kind, values) / values.length
  return ordered(table, inKeyOrder, operation.column, operation.op === 'min' ? 1 : -1)[0]?.[operation.column] ?? null
}

/** key → feature → value, for every row of the entity's table. */
export function expectedFeatures(node: EntityNode, rows: Rows): Readonly<Record<string, Row>> {
  const result: Record<string, Row> = {}
  for (const own of rows.get(node.entity.table.id) ?? []) {
    const values = new Map<AnyFeature, unknown>()
    const read = (input: AnyInput): unknown => {
      if (input.input === 'column') return own[input.column]
      if (input.input === 'feature') return values.get(input)
      if (input.input === 'aggregate') return aggregate(rows, input, own[node.key])
      throw new TypeError(`${input.input} knows the time, and this oracle has no clock.`)
    }
    for (const { feature } of node.features) {
      const inputs = Object.fromEntries(Object.entries(feature.inputs).map(([name, input]) => [name, read(input)]))
      values.set(feature, feature.compute(inputs))
    }
    result[String(own[node.key])] = Object.fromEntries([...values].map(([feature, value]) => [feature.name, value]))
  }
  return result
}
