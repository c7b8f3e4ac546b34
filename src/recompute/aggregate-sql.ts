/**
 * Aggregates as SQL expressions over the rows `r` of one scan, and how their texts become what compute receives.
 *
 * Invariant: the result does not depend on the plan. Sums are exact (numeric) or, for floats, added up here in key
 * order; every choice among rows is decided down to the key.
 */
import { quoteIdent } from '../db/pool.ts'
import { type AggregateInput, type ColumnKind, columnOf, type Table } from '../define/index.ts'
import { decoderOf, orderSql, readSql } from './decode.ts'

/** `filter` is a condition on `r`, 'true' for none. */
export type Expression = (filter: string) => string

export interface AggregateSql {
  readonly expressions: readonly Expression[]
  /** @param texts one per expression */
  decode(texts: readonly (string | null)[]): unknown
}

const ALIAS = 'r'

function ident(column: string): string {
  return `${ALIAS}.${quoteIdent(column)}`
}

function filtered(aggregate: string): Expression {
  return (filter) => (filter === 'true' ? aggregate : `${aggregate} filter (where ${filter})`)
}

/** Both conditions; 'true' for none. */
export function both(filter: string, condition: string): string {
  return filter === 'true' ? condition : `${filter} and ${condition}`
}

function keyOrder(table: Table, direction: 'asc' | 'desc'): string {
  return table.key.map((key) => `${orderSql(ident(key), columnOf(table, key).kind)} ${direction}`).join(', ')
}

function rowOrder(table: Table, orderBy: string, direction: 'asc' | 'desc'): string {
  const order = orderSql(ident(orderBy), columnOf(table, orderBy).kind)
  return `${order} ${direction} nulls last, ${keyOrder(table, 'desc')}`
}

/** Sum of '{1,2.5}' from the first value on, as given; of nothing 0. */
function addUp(array: string | null): number {
  if (array === null) return 0
  return array
    .slice(1, -1)
    .split(',')
    .map(Number)
    .reduce((sum, value) => sum + value)
}

/** One expression for a sum, exact for every kind; `toNumber` gives the nearest float64. */
function sumSql(table: Table, column: string): { expression: Expression; toNumber: (text: string | null) => number } {
  const value = ident(column)
  if (columnOf(table, column).kind === 'float') {
    const array = `array_agg(${value} order by ${keyOrder(table, 'asc')})`
    return { expression: (filter) => filtered(array)(both(filter, `${value} is not null`)), toNumber: addUp }
  }
  return { expression: filtered(`sum(${value})`), toNumber: (text) => (text === null ? 0 : Number(text)) }
}

function extremeSql(table: Table, column: string, op: 'min' | 'max'): Expression {
  const { kind } = columnOf(table, column)
  const value = ident(column)
  if (kind !== 'decimal') return (filter) => readSql(filtered(`${op}(${orderSql(value, kind)})`)(filter), kind)
  // Equal decimals may be written differently (1.0 and 1.00): the greatest key decides, as everywhere.
  const order = `${value} ${op === 'min' ? 'asc' : 'desc'}, ${keyOrder(table, 'desc')}`
  return (filter) => `(${filtered(`array_agg(${value} order by ${order})`)(both(filter, `${value} is not null`))})[1]`
}

function one(expression: Expression, kind: ColumnKind): AggregateSql {
  const decode = decoderOf(kind)
  return { expressions: [expression], decode: ([text]) => (text === null || text === undefined ? null : decode(text)) }
}

/** Expressions over the rows of the last hop's table; the input's own `where` is given to them by the scan. */
export function aggregateSql(input: AggregateInput): AggregateSql {
  const table = input.path.at(-1)?.table
  if (table === undefined) throw new TypeError('An aggregate needs a path of at least one hop.')
  const { operation } = input
  switch (operation.op) {
    case 'count':
      return one(filtered('count(*)'), 'integer')
    case 'countDistinct': {
      const value = orderSql(ident(operation.column), columnOf(table, operation.column).kind)
      return one(filtered(`count(distinct ${value})`), 'integer')
    }
    case 'sum': {
      const { expression, toNumber } = sumSql(table, operation.column)
      return { expressions: [expression], decode: ([text]) => toNumber(text ?? null) }
    }
    case 'avg': {
      const { expression, toNumber } = sumSql(table, operation.column)
      return {
        expressions: [expression, filtered(`count(${ident(operation.column)})`)],
        decode: ([sum, count]) => (Number(count) === 0 ? null : toNumber(sum ?? null) / Number(count)),
      }
    }
    case 'min':
    case 'max':
      return one(extremeSql(table, operation.column, operation.op), columnOf(table, operation.column).kind)
    case 'latest': {
      const { kind } = columnOf(table, operation.column)
      const array = `array_agg(${readSql(ident(operation.column), kind)} order by ${rowOrder(table, operation.orderBy, 'desc')})`
      return one((filter) => `(${filtered(array)(filter)})[1]`, kind)
    }
    case 'top':
      return topSql(table, operation)
  }
}

function topSql(table: Table, operation: Extract<AggregateInput['operation'], { op: 'top' }>): AggregateSql {
  const columns = operation.columns.map((name) => {
    const { kind } = columnOf(table, name)
    return { name, decode: decoderOf(kind), sql: `(${readSql(ident(name), kind)})::text` }
  })
  const cells = columns.map((column) => column.sql).join(', ')
  const array = `array_agg(array[${cells}] order by ${rowOrder(table, operation.orderBy, operation.order)})`
  return {
    expressions: [(filter) => `array_to_json((${filtered(array)(filter)})[1:${operation.limit}])`],
    decode: ([text]) => {
      const rows: readonly (readonly (string | null)[])[] = text === null || text === undefined ? [] : JSON.parse(text)
      return rows.map((cells) =>
        Object.fromEntries(
          columns.map(({ name, decode }, index) => {
            const cell = cells[index] ?? null
            return [name, cell === null ? null : decode(cell)]
          }),
        ),
      )
    },
  }
}
