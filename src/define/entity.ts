/** What is scored: one row of a source table names one entity. */
import type { Columns, ColumnValue } from './column.ts'
import { type AssociationSpec, type ForeignKeySpec, hopTo, type ManySpec, type Relation, relation } from './relation.ts'
import { columnOf, type Table } from './table.ts'

/** A column of the entity's own row. */
export interface ColumnInput<T = unknown> {
  readonly input: 'column'
  readonly table: Table
  readonly column: string
  readonly $value?: T
}

export interface Entity<C extends Columns = Columns> {
  readonly name: string
  readonly table: Table<C>
  /** One input per column of the table: `company.columns.numberofemployees`. */
  readonly columns: { readonly [K in keyof C & string]: ColumnInput<ColumnValue<C[K]>> }
  /** Related rows, through a foreign key they hold or through an association table. */
  many<D extends Columns>(table: Table<D>, spec: ForeignKeySpec<D>): Relation<D>
  many<D extends Columns, A extends Columns>(table: Table<D>, spec: AssociationSpec<A>): Relation<D>
}

/** What the engine needs of any entity, whatever its columns. */
export interface AnyEntity {
  readonly name: string
  readonly table: Table
}

const NAME = /^[a-z][a-z0-9_]{0,39}$/

/** Names become table and column names; 40 leaves room for prefixes below PostgreSQL's limit of 63 bytes. */
export function assertName(what: string, name: string): void {
  if (!NAME.test(name)) {
    throw new TypeError(`${what} name '${name}' must be 1 to 40 of a-z, 0-9 and _, and start with a letter.`)
  }
}

/** @throws TypeError when the name is not usable or the table's key has more than one column */
export function defineEntity<C extends Columns>(spec: { readonly name: string; readonly table: Table<C> }): Entity<C> {
  const { name, table } = spec
  assertName('Entity', name)
  const [key] = table.key
  if (key === undefined || table.key.length !== 1) {
    throw new TypeError(
      `Entity '${name}' needs a table with a one-column key; '${table.id}' has ${table.key.join(', ')}.`,
    )
  }
  if (!['text', 'integer', 'bigint', 'uuid'].includes(columnOf(table, key).kind)) {
    throw new TypeError(`The key of entity '${name}', ${table.id}.${key}, must be text, integer, bigint or uuid.`)
  }
  const inputs = Object.keys(table.columns).map((column) => [column, { input: 'column', table, column }])
  return {
    name,
    table,
    columns: Object.fromEntries(inputs),
    many: <D extends Columns>(target: Table<D>, spec: ManySpec) => relation([hopTo(table, target, spec)], target),
  }
}
