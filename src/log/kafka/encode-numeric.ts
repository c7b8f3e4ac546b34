/**
 * Numbers as JSON: exact text, Debezium's bytes, or doubles.
 * Invariant: what JSON has no number for (NaN, Infinity) goes as a string, as Debezium's converter does; with Debezium's
 * bytes NaN and Infinity have no form at all and go as null, as there.
 */
import type { ByteWriter } from './encode-bytes.ts'
import type { Copier } from './encode-types.ts'

const NULL = Buffer.from('null')

/** A number of PostgreSQL's text is a JSON number; NaN, Infinity and -Infinity are not. */
function isJsonNumber(source: Buffer, from: number): boolean {
  const first = source[from] ?? 0
  const digit = first === 0x2d ? (source[from + 1] ?? 0) : first
  return digit >= 0x30 && digit <= 0x39
}

function quoted(out: ByteWriter, source: Buffer, from: number, to: number): void {
  out.byte(0x22)
  out.raw(source, from, to)
  out.byte(0x22)
}

const SPECIAL: Readonly<Record<number, Buffer>> = {
  // N, I and -
  78: Buffer.from('"NAN"'),
  73: Buffer.from('"POSITIVE_INFINITY"'),
  45: Buffer.from('"NEGATIVE_INFINITY"'),
}

/** PostgreSQL's digits; what is no number in Debezium's words. */
export const copyNumericString: Copier = (out, source, from, to) => {
  if (isJsonNumber(source, from)) quoted(out, source, from, to)
  else out.raw(SPECIAL[source[from] ?? 0] ?? NULL)
}

export const copyDouble: Copier = (out, source, from, to) => {
  if (isJsonNumber(source, from)) out.raw(source, from, to)
  else quoted(out, source, from, to)
}

/** Two's complement, big-endian, as short as it goes: Java's BigInteger.toByteArray. */
export function unscaledBytes(value: bigint): Buffer {
  let bytes = 1
  while (value >= 1n << BigInt(8 * bytes - 1) || value < -(1n << BigInt(8 * bytes - 1))) bytes += 1
  const hex = BigInt.asUintN(8 * bytes, value)
    .toString(16)
    .padStart(2 * bytes, '0')
  return Buffer.from(hex, 'hex')
}

function writePrecise(out: ByteWriter, text: string, declaredScale: number | null): void {
  const [whole = '0', digits = ''] = text.split('.')
  const fraction = declaredScale === null ? digits.replace(/0+$/, '') : digits
  const scale = declaredScale ?? fraction.length
  const value = unscaledBytes(BigInt(whole + fraction.padEnd(scale, '0'))).toString('base64')
  out.ascii(declaredScale === null ? `{"scale":${scale},"value":"${value}"}` : `"${value}"`)
}

/** @param typmod of the column: numeric(p,s) has a scale of its own, numeric one per value */
export function preciseCopier(typmod: number): Copier {
  // The scale is the low 11 bits, signed (PostgreSQL 15 allows scales below zero).
  const packed = (typmod - 4) & 0x7ff
  const scale = typmod < 4 ? null : (packed ^ 1024) - 1024
  return (out, source, from, to) => {
    if (isJsonNumber(source, from))
      writePrecise(out, source.toString('latin1', from, to), scale === null ? null : Math.max(0, scale))
    else out.raw(NULL)
  }
}

/** `$1,234.56` without what the locale puts around the number. */
export function copyMoney(decimal: 'string' | 'precise' | 'double'): Copier {
  return (out, source, from, to) => {
    const text = source.toString('utf8', from, to)
    const sign = text.includes('-') || text.includes('(') ? '-' : ''
    const number = sign + text.replace(/[^0-9.]/g, '')
    if (decimal === 'string') out.ascii(`"${number}"`)
    else if (decimal === 'double') out.ascii(number)
    else writePrecise(out, number, 2)
  }
}
