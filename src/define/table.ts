/**
 * A source table: a typed Postgres table that mirrors one stream of a connector, or any table of the user's own that
 * Rescore is told to watch. The declaration is what feature inputs are type-checked against.
 */
import type { Column, Columns } from './column.ts'

/** Rows of a table are about the record of another whose one-column key stands in `column`. */
export interface About {
  readonly column: string
  readonly table: Table
}

export interface Table<C extends Columns = Columns> {
  readonly schema: string
  readonly name: string
  /** `schema.name`, unquoted: how changes, lineage and messages name the table. */
  readonly id: string
  readonly columns: C
  /** Primary key columns, in order. */
  readonly key: readonly string[]
  /** Whose records its rows are about: they are erased with them, and do not come back. */
  readonly about: readonly About[]
}

export interface TableSpec<C extends Columns> {
  /** `schema.name` */
  readonly name: `${string}.${string}`
  readonly columns: C
  readonly key: (keyof C & string) | readonly (keyof C & string)[]
  /**
   * Column to the table whose record a row is about, for tables that have nothing of their own to tell: associations,
   * histories. `rescore erase` takes their rows along.
   */
  readonly about?: { readonly [K in keyof C & string]?: Table }
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
  const about = Object.entries(spec.about ?? {}).flatMap(([column, table]: readonly [string, Table | undefined]) => {
    if (table === undefined) return []
    if (!Object.hasOwn(spec.columns, column) || table.key.length !== 1) {
      throw new TypeError(
        `Table '${spec.name}' cannot be about '${table.id}' by '${column}': a column and a one-column key.`,
      )
    }
    return [{ column, table }]
  })
  return { schema, name, id: spec.name, columns: spec.columns, key, about }
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
