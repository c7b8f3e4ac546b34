/**
 * Paths from an entity to related rows, and the aggregates over them.
 *
 * A path is a list of hops, each along a foreign key (child rows hold the parent's key) or an association table (m:n).
 * Invariant: an aggregate is over the *set* of rows a path reaches: a row reached twice (two labels of one
 * association, two ways round) counts once. Nothing here touches a database: it is all data for src/graph.
 */
import type { ColumnKind, ColumnNameOf, Columns, ColumnValue } from './column.ts'
import type { Duration } from './duration.ts'
import { columnOf, type Table } from './table.ts'
import type { AnyWhere, Where } from './where.ts'
import { defineWindow, type Window, type WindowOptions } from './window.ts'

export type Hop =
  /** Rows of `table` whose `column` equals the key of the row before. */
  | { readonly kind: 'foreign-key'; readonly table: Table; readonly column: string }
  /** Rows of `table` whose key stands in `through[to]` where `through[from]` equals the key of the row before. */
  | {
      readonly kind: 'association'
      readonly table: Table
      readonly through: Table
      readonly from: string
      readonly to: string
      readonly throughWhere: AnyWhere
    }

export type Order = 'asc' | 'desc'

export type AggregateOperation =
  | { readonly op: 'count' }
  | { readonly op: 'countDistinct'; readonly column: string }
  /** Sum of nothing is 0; nulls are passed over. */
  | { readonly op: 'sum'; readonly column: string }
  | { readonly op: 'min' | 'max' | 'avg'; readonly column: string }
  /** `column` of the row with the greatest `orderBy` (nulls last, ties by greatest key). Null when there is no row. */
  | { readonly op: 'latest'; readonly column: string; readonly orderBy: string }
  /** The first `limit` rows by `orderBy` (nulls last, ties by greatest key), only `columns` of each. */
  | {
      readonly op: 'top'
      readonly limit: number
      readonly columns: readonly string[]
      readonly orderBy: string
      readonly order: Order
    }

export interface AggregateInput<T = unknown> {
  readonly input: 'aggregate'
  readonly path: readonly Hop[]
  readonly operation: AggregateOperation
  /** Filter on the rows of the last hop's table. */
  readonly where: AnyWhere
  /** Only rows that are in it at the time. */
  readonly window?: Window
  readonly $value?: T
}

interface Filter<C extends Columns> {
  readonly where?: Where<C>
}

export interface ForeignKeySpec<D extends Columns> {
  /** Column of the child table that holds the parent's key. */
  readonly foreignKey: keyof D & string
}

export interface AssociationSpec<A extends Columns> {
  readonly through: Table<A>
  readonly from: keyof A & string
  readonly to: keyof A & string
  /** Filter on the association rows, such as a label. */
  readonly throughWhere?: Where<A>
}

/** What can be asked of rows with columns `C`. */
export interface Aggregates<C extends Columns> {
  count(filter?: Filter<C>): AggregateInput<number>
  countDistinct(column: keyof C & string, filter?: Filter<C>): AggregateInput<number>
  sum(column: ColumnNameOf<C, number | bigint>, filter?: Filter<C>): AggregateInput<number>
  avg(column: ColumnNameOf<C, number | bigint>, filter?: Filter<C>): AggregateInput<number | null>
  min<K extends ColumnNameOf<C, number | bigint | string>>(
    column: K,
    filter?: Filter<C>,
  ): AggregateInput<ColumnValue<C[K]> | null>
  max<K extends ColumnNameOf<C, number | bigint | string>>(
    column: K,
    filter?: Filter<C>,
  ): AggregateInput<ColumnValue<C[K]> | null>
  latest<K extends keyof C & string>(
    column: K,
    options: Filter<C> & { readonly orderBy: keyof C & string },
  ): AggregateInput<ColumnValue<C[K]> | null>
  top<K extends keyof C & string>(
    limit: number,
    options: Filter<C> & { readonly columns: readonly K[]; readonly orderBy: keyof C & string; readonly order?: Order },
  ): AggregateInput<readonly { readonly [P in K]: ColumnValue<C[P]> }[]>
}

/** Rows of a table with columns `C` that belong to one entity. */
export interface Relation<C extends Columns> extends Aggregates<C> {
  readonly path: readonly Hop[]
  many<D extends Columns>(table: Table<D>, spec: ForeignKeySpec<D>): Relation<D>
  many<D extends Columns, A extends Columns>(table: Table<D>, spec: AssociationSpec<A>): Relation<D>
  /**
   * Of these rows the ones of the last `length` up to now, by a timestamp or date column: `on > now - length` and
   * `on <= now`. What is asked of them changes as rows enter and leave.
   * @throws TypeError when the column is neither, or the length, the resolution, the zone or the slack is unusable
   */
  window(length: Duration, options: WindowOptions<keyof C & string>): Aggregates<C>
}

export type ManySpec = ForeignKeySpec<Columns> | AssociationSpec<Columns>

/** One hop from rows of `parent` to rows of `table`, checked against both declarations. */
export function hopTo(parent: Table, table: Table, spec: ManySpec): Hop {
  if (parent.key.length !== 1) {
    throw new TypeError(
      `Relations start from tables with a one-column key; '${parent.id}' has ${parent.key.join(', ')}.`,
    )
  }
  if ('foreignKey' in spec) {
    columnOf(table, spec.foreignKey)
    return { kind: 'foreign-key', table, column: spec.foreignKey }
  }
  columnOf(spec.through, spec.from)
  columnOf(spec.through, spec.to)
  if (table.key.length !== 1) {
    throw new TypeError(
      `An association must lead to a table with a one-column key; '${table.id}' has ${table.key.join(', ')}.`,
    )
  }
  const { through, from, to, throughWhere = {} } = spec
  for (const column of Object.keys(throughWhere)) columnOf(through, column)
  return { kind: 'association', table, through, from, to, throughWhere }
}

const NUMERIC: ReadonlySet<ColumnKind> = new Set(['integer', 'bigint', 'number', 'decimal', 'float'])

function aggregates<C extends Columns>(path: readonly Hop[], table: Table<C>, window: Window | null): Aggregates<C> {
  const aggregate = <T>(operation: AggregateOperation, filter: Filter<C> = {}): AggregateInput<T> => {
    const where: AnyWhere = filter.where ?? {}
    for (const column of Object.keys(where)) columnOf(table, column)
    if ('column' in operation) columnOf(table, operation.column)
    if ((operation.op === 'sum' || operation.op === 'avg') && !NUMERIC.has(columnOf(table, operation.column).kind)) {
      throw new TypeError(
        `${operation.op} needs a number; '${table.id}.${operation.column}' is ${columnOf(table, operation.column).kind}.`,
      )
    }
    if ('orderBy' in operation) columnOf(table, operation.orderBy)
    return { input: 'aggregate', path, operation, where, ...(window === null ? {} : { window }) }
  }
  return {
    count: (filter) => aggregate({ op: 'count' }, filter),
    countDistinct: (column, filter) => aggregate({ op: 'countDistinct', column }, filter),
    sum: (column, filter) => aggregate({ op: 'sum', column }, filter),
    avg: (column, filter) => aggregate({ op: 'avg', column }, filter),
    min: (column, filter) => aggregate({ op: 'min', column }, filter),
    max: (column, filter) => aggregate({ op: 'max', column }, filter),
    latest: (column, { orderBy, ...filter }) => aggregate({ op: 'latest', column, orderBy }, filter),
    top: (limit, { columns, orderBy, order = 'desc', ...filter }) => {
      for (const column of columns) columnOf(table, column)
      if (!Number.isInteger(limit) || limit < 1)
        throw new TypeError(`top needs a positive number of rows, got ${limit}.`)
      return aggregate({ op: 'top', limit, columns, orderBy, order }, filter)
    },
  }
}

/** Rows that `path` reaches; the table of its last hop gives the columns. */
export function relation<C extends Columns>(path: readonly Hop[], table: Table<C>): Relation<C> {
  return {
    ...aggregates(path, table, null),
    path,
    many: <D extends Columns>(target: Table<D>, spec: ManySpec) =>
      relation([...path, hopTo(table, target, spec)], target),
    window: (length, options) => aggregates(path, table, defineWindow(table, length, options)),
  }
}
