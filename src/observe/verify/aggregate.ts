/**
 * Aggregates over whole rows, in plain JavaScript.
 * Invariant: sums of exact numbers are exact until the one rounding at the end; floats are added in ascending key order.
 */
import { type AggregateInput, type ColumnKind, columnOf, type Order, type Table } from '../../define/index.ts'
import { add, type Decimal, parseDecimal, toNumber } from './decimal.ts'
import { satisfies } from './filter.ts'
import { compare, compareKeys, identity, type Row, toValue } from './values.ts'

/** Cells of one column that are not null. */
function cells(rows: readonly Row[], column: string): unknown[] {
  return rows.map((row) => row[column] ?? null).filter((cell) => cell !== null)
}

function sumExact(values: readonly unknown[]): number {
  let sum: Decimal = { digits: 0n, scale: 0 }
  for (const value of values) {
    const decimal = parseDecimal(String(value))
    // NaN or infinite: as floats add.
    if (decimal === null) return values.reduce<number>((total, each) => total + Number(each), 0)
    sum = add(sum, decimal)
  }
  return toNumber(sum)
}

function sum(kind: ColumnKind, table: Table, rows: readonly Row[], column: string): number {
  if (kind !== 'float') return sumExact(cells(rows, column))
  const inOrder = rows.toSorted((a, b) => compareKeys(table, a, b))
  const values = cells(inOrder, column).map(Number)
  // From the first value on, because 0 + -0 is 0.
  return values.length === 0 ? 0 : values.reduce((total, value) => total + value)
}

/** Rows by `orderBy`, nulls last either way, ties by greatest key. */
function inOrder(table: Table, rows: readonly Row[], orderBy: string, order: Order): readonly Row[] {
  const { kind } = columnOf(table, orderBy)
  return rows.toSorted((a, b) => {
    const [left, right] = [a[orderBy] ?? null, b[orderBy] ?? null]
    if ((left === null) !== (right === null)) return left === null ? 1 : -1
    const byValue = left === null ? 0 : compare(kind, left, right)
    if (byValue !== 0) return order === 'asc' ? byValue : -byValue
    return -compareKeys(table, a, b)
  })
}

/** @param reached the rows at the end of the input's path, each once */
export function aggregate(input: AggregateInput, reached: readonly Row[]): unknown {
  const table = input.path.at(-1)?.table
  if (table === undefined) throw new TypeError('An aggregate needs a path of one hop or more.')
  const rows = reached.filter((row) => satisfies(table, input.where, row))
  const { operation } = input
  const kindOf = (column: string) => columnOf(table, column).kind
  switch (operation.op) {
    case 'count':
      return rows.length
    case 'countDistinct':
      return new Set(cells(rows, operation.column).map((cell) => identity(kindOf(operation.column), cell))).size
    case 'sum':
      return sum(kindOf(operation.column), table, rows, operation.column)
    case 'avg': {
      const count = cells(rows, operation.column).length
      return count === 0 ? null : sum(kindOf(operation.column), table, rows, operation.column) / count
    }
    case 'min':
    case 'max': {
      const { column, op } = operation
      // Equal decimals may be written differently: the greatest key decides, as in `inOrder`.
      const [first] = inOrder(table, rows, column, op === 'min' ? 'asc' : 'desc')
      return first === undefined ? null : toValue(kindOf(column), first[column])
    }
    case 'latest': {
      const [first] = inOrder(table, rows, operation.orderBy, 'desc')
      return first === undefined ? null : toValue(kindOf(operation.column), first[operation.column])
    }
    case 'top':
      return inOrder(table, rows, operation.orderBy, operation.order)
        .slice(0, operation.limit)
        .map((row) =>
          Object.fromEntries(operation.columns.map((column) => [column, toValue(kindOf(column), row[column])])),
        )
  }
}
