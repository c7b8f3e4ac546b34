/**
 * Feature values to the row a model reads, and the fingerprint of that row.
 *
 * Invariants: a row is float32 in manifest order, as in training; two rows have one fingerprint exactly when the model
 * cannot tell them apart.
 */
import { hash } from 'node:crypto'
import type { Manifest, ManifestInput } from './manifest.ts'

/** A feature value as read from its table. */
export type StoredValue = number | bigint | boolean | string | null

function encodeValue(value: StoredValue | undefined, { feature, type, missing }: ManifestInput): number {
  if (value === null) return missing === 'nan' ? Number.NaN : missing
  if (type === 'boolean' && typeof value === 'boolean') return value ? 1 : 0
  // Adding 0 turns -0 into 0, one value to every model but not one sequence of bytes; rounded first, because a value
  // too small for float32 becomes -0 only then.
  if (type === 'number' && (typeof value === 'number' || typeof value === 'bigint'))
    return Math.fround(Number(value)) + 0
  throw new TypeError(`Input '${feature}' is ${type} in the manifest, its value is ${typeof value}.`)
}

/**
 * Writes one row of the input matrix, each value rounded to the nearest float32.
 * @param values by place in `manifest.inputs`
 * @throws TypeError when a value is not of the manifest's type
 */
export function encodeRow(manifest: Manifest, values: readonly StoredValue[], into: Float32Array, at = 0): void {
  for (const [index, input] of manifest.inputs.entries()) into[at + index] = encodeValue(values[index], input)
}

/** First 32 hexadecimal digits of the sha-256 of the row's bytes: float32, little-endian, NaN as 0x7fc00000. */
export function fingerprint(row: Float32Array): string {
  return hash('sha256', new Uint8Array(row.buffer, row.byteOffset, row.byteLength), 'hex').slice(0, 32)
}
