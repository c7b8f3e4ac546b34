/**
 * Column types of source tables: what PostgreSQL stores and what a compute function receives.
 *
 * Invariant: the mapping below is the only one; loading, verification and predicates all follow it.
 *
 * | declared    | PostgreSQL       | in compute                                   |
 * |-------------|------------------|----------------------------------------------|
 * | text()      | text             | string                                       |
 * | integer()   | integer          | number                                       |
 * | bigint()    | bigint           | bigint                                       |
 * | number()    | numeric          | number (nearest float64; the table is exact) |
 * | decimal()   | numeric          | string (exact)                               |
 * | float()     | double precision | number                                       |
 * | boolean()   | boolean          | boolean                                      |
 * | date()      | date             | string, YYYY-MM-DD                           |
 * | timestamp() | timestamptz      | number, milliseconds since 1970 UTC          |
 * | json()      | jsonb            | unknown                                      |
 * | uuid()      | uuid             | string, lower case                           |
 */

export type ColumnKind =
  | 'text'
  | 'integer'
  | 'bigint'
  | 'number'
  | 'decimal'
  | 'float'
  | 'boolean'
  | 'date'
  | 'timestamp'
  | 'json'
  | 'uuid'

/** `T` is the type a compute function sees, `null` included unless `.notNull()`. */
export interface Column<T = unknown> {
  readonly kind: ColumnKind
  readonly nullable: boolean
  /** Type carrier only, never present at run time. */
  readonly $value?: T
}

export interface NullableColumn<T> extends Column<T | null> {
  notNull(): Column<T>
}

function column<T>(kind: ColumnKind): NullableColumn<T> {
  return { kind, nullable: true, notNull: () => ({ kind, nullable: false }) }
}

export const text = () => column<string>('text')
export const integer = () => column<number>('integer')
export const bigint = () => column<bigint>('bigint')
export const number = () => column<number>('number')
export const decimal = () => column<string>('decimal')
export const float = () => column<number>('float')
export const boolean = () => column<boolean>('boolean')
export const date = () => column<string>('date')
export const timestamp = () => column<number>('timestamp')
export const json = () => column<unknown>('json')
export const uuid = () => column<string>('uuid')

export const POSTGRES_TYPE = {
  text: 'text',
  integer: 'integer',
  bigint: 'bigint',
  number: 'numeric',
  decimal: 'numeric',
  float: 'double precision',
  boolean: 'boolean',
  date: 'date',
  timestamp: 'timestamptz',
  json: 'jsonb',
  uuid: 'uuid',
} as const satisfies Record<ColumnKind, string>

export type Columns = Readonly<Record<string, Column>>

/** What compute sees for a column. */
export type ColumnValue<C> = C extends Column<infer T> ? T : never

/** Names of the columns of `C` whose non-null value extends `T`. */
export type ColumnNameOf<C extends Columns, T> = {
  [K in keyof C & string]: NonNullable<ColumnValue<C[K]>> extends T ? K : never
}[keyof C & string]
