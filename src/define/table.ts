/**
 * A source table: a typed Postgres table that mirrors one stream of a connector, or any table of the user's own that
 * Rescore is told to watch. The declaration is what feature inputs are type-checked against.
 */
import type { Column, Columns } from './column.ts'

export interface Table<C extends Columns = Columns> {
  readonly schema: string
  readonly name: string
  /** `schema.name`, unquoted: how changes, lineage and messages name the table. */
  readonly id: string
  readonly columns: C
  /** Primary key columns, in order. */
  readonly key: readonly string[]
}

export interface TableSpec<C extends Columns> {
  /** `schema.name` */
  readonly name: `${string}.${string}`
  readonly columns: C
  readonly key: (keyof C & string) | readonly (keyof C & string)[]
}

/** @throws TypeError when the name has no schema or a key column is not declared */
export function defineTable<const C extends Columns>(spec: TableSpec<C>): Table<C> {
  const dot = spec.name.indexOf('.')
  const schema = spec.name.slice(0, dot)
  const name = spec.name.slice(dot + 1)
  if (dot < 1 || name === '') throw new TypeError(`Table name '${spec.name}' must be 'schema.table'.`)
  const key = typeof spec.key === 'string' ? [spec.key] : [...spec.key]
  if (key.length === 0) throw new TypeError(`Table '${spec.name}' needs at least one key column.`)
  for (const column of key) {
    if (!Object.hasOwn(spec.columns, column)) {
      throw new TypeError(
        `Key column '${column}' of table '${spec.name}' is not among its columns: ${Object.keys(spec.columns).join(', ')}.`,
      )
    }
  }
  return { schema, name, id: spec.name, columns: spec.columns, key }
}

/** The declaration of one column; throws where a JavaScript user misspelt it. */
export function columnOf(table: Table, name: string): Column {
  const column = Object.hasOwn(table.columns, name) ? table.columns[name] : undefined
  if (column === undefined) {
    throw new TypeError(
      `Table '${table.id}' has no column '${name}'. It declares: ${Object.keys(table.columns).join(', ')}.`,
    )
  }
  return column
}
