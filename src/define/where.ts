/**
 * Row filters of aggregates, as data: the engine turns them into SQL, and evaluates them on the old and new row of a
 * change to skip entities that no satisfying row feeds.
 *
 * Invariant: two-valued. A null value satisfies only `null`, `{ isNull: true }`, `{ not: x }` with x not null, and
 * `{ notIn: [...] }`; it never makes a filter "unknown" as SQL would. All columns of one filter must hold (and).
 */
import type { Columns, ColumnValue } from './column.ts'

export type Predicate<T> =
  | T
  | null
  | { readonly in: readonly NonNullable<T>[] }
  | { readonly notIn: readonly NonNullable<T>[] }
  | { readonly not: T | null }
  | { readonly isNull: boolean }
  | {
      readonly gt?: NonNullable<T>
      readonly gte?: NonNullable<T>
      readonly lt?: NonNullable<T>
      readonly lte?: NonNullable<T>
    }

export type Where<C extends Columns> = { readonly [K in keyof C]?: Predicate<ColumnValue<C[K]>> }

/** A filter with its types erased, as the engine reads it. */
export type AnyWhere = Readonly<Record<string, unknown>>
