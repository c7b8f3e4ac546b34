/**
 * Values in PostgreSQL's text forms: arrays, times, and which texts can be a key at all.
 * Invariant: what is written here is read back by PostgreSQL as exactly the same value.
 */
import type { ColumnKind } from '../define/index.ts'

/** `{"a","b",NULL}`: every element quoted, so that no content needs a special case. */
export function textArray(values: readonly (string | null)[]): string {
  const parts = values.map((value) =>
    value === null ? 'NULL' : `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
  )
  return `{${parts.join(',')}}`
}

/** Numbers and booleans need no quotes; JavaScript's shortest form of a number reads back as the same float64. */
export function plainArray(values: readonly (number | bigint | boolean | null)[]): string {
  return `{${values.map((value) => (value === null ? 'NULL' : String(value))).join(',')}}`
}

/** @param ms milliseconds since 1970, fraction = microseconds */
export function timestampText(ms: number): string {
  const micros = Math.round(ms * 1_000)
  const wholeMs = Math.floor(micros / 1_000)
  const rest = String(micros - wholeMs * 1_000).padStart(3, '0')
  return new Date(wholeMs).toISOString().replace('Z', `${rest}Z`)
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

const INTEGER_BITS: Readonly<Partial<Record<ColumnKind, number>>> = { integer: 32, bigint: 64 }

/**
 * Whether `text` can be cast to a key of this kind. A foreign key column may be wider than the key it refers to; a
 * value that no key can have names no entity, and must not fail the statement that looks for it.
 */
export function isPossibleKey(kind: ColumnKind, text: string): boolean {
  if (kind === 'uuid') return UUID.test(text)
  const bits = INTEGER_BITS[kind]
  if (bits === undefined) return true
  if (!/^-?\d{1,19}$/.test(text)) return false
  const value = BigInt(text)
  return BigInt.asIntN(bits, value) === value
}
