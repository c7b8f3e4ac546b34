/**
 * How a column's value is read in SQL and what compute receives for it.
 * Invariant: everything is fetched cast to text and decoded here, so no driver setting and no other cast in SQL
 * can round a value, and no stored value (a numeric beyond float64, an infinite time) can fail a whole statement.
 */
import type { ColumnKind } from '../define/index.ts'

export type Decode = (text: string) => unknown

/** SQL whose text form `decoderOf(kind)` reads; a time is taken as exact microseconds since 1970. */
export function readSql(expression: string, kind: ColumnKind): string {
  return kind === 'timestamp' ? `extract(epoch from ${expression}) * 1000000` : expression
}

/** Orders by value; texts by the bytes of UTF-8, whatever the database's locale. PostgreSQL has no min(uuid). */
export function orderSql(expression: string, kind: ColumnKind): string {
  if (kind === 'uuid') return `${expression}::text collate "C"`
  return kind === 'text' ? `${expression} collate "C"` : expression
}

const DECODERS = {
  text: (text) => text,
  integer: Number,
  bigint: BigInt,
  number: Number,
  decimal: (text) => text,
  float: Number,
  boolean: (text) => text === 'true',
  date: (text) => text,
  timestamp: (text) => Number(text) / 1_000,
  json: (text) => JSON.parse(text) as unknown,
  uuid: (text) => text,
} as const satisfies Record<ColumnKind, Decode>

export function decoderOf(kind: ColumnKind): Decode {
  return DECODERS[kind]
}
