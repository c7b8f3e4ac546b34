/**
 * Values with an inside: bytea, bit strings, points and arrays.
 * Invariant: an array keeps its nesting and its nulls; each element goes through the copier of its own type.
 */
import type { ByteWriter } from './encode-bytes.ts'
import type { Copier } from './encode-types.ts'

/** `\x` and hex digits, as base64. */
export const copyBytes: Copier = (out, source, from, to) => {
  out.byte(0x22)
  out.ascii(Buffer.from(source.toString('latin1', from + 2, to), 'hex').toString('base64'))
  out.byte(0x22)
}

/** Debezium: one bit is a boolean, more are bytes, least significant first. */
export function copyBits(isSingle: boolean): Copier {
  return (out, source, from, to) => {
    if (isSingle) return out.ascii(source[from] === 0x31 ? 'true' : 'false')
    const bytes = Buffer.alloc(Math.ceil((to - from) / 8))
    for (let bit = 0; bit < to - from; bit += 1) {
      if (source[to - 1 - bit] === 0x31) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (1 << (bit & 7))
    }
    out.ascii(`"${bytes.toString('base64')}"`)
  }
}

/** JSON has no infinite number: as text, as for a column of doubles. */
const jsonNumber = (value: number) => (Number.isFinite(value) ? JSON.stringify(value) : `"${value}"`)

export const copyPoint: Copier = (out, source, from, to) => {
  const [x = 0, y = 0] = source
    .toString('latin1', from + 1, to - 1)
    .split(',')
    .map(Number)
  const wkb = Buffer.alloc(21)
  wkb.writeUInt8(1, 0)
  wkb.writeUInt32LE(1, 1)
  wkb.writeDoubleLE(x, 5)
  wkb.writeDoubleLE(y, 13)
  out.ascii(`{"x":${jsonNumber(x)},"y":${jsonNumber(y)},"wkb":"${wkb.toString('base64')}","srid":null}`)
}

const OPEN = 0x7b
const CLOSE = 0x7d
const COMMA = 0x2c
const QUOTE = 0x22
const BACKSLASH = 0x5c
const NULL = Buffer.from('null')

const isNull = (source: Buffer, from: number, to: number) =>
  to - from === 4 && source.toString('latin1', from, to).toLowerCase() === 'null'

/** A quoted element without its quotes and backslashes; returns the place behind the closing quote. */
function unquote(source: Buffer, from: number, into: Buffer): { readonly end: number; readonly length: number } {
  let [at, length] = [from, 0]
  while (source[at] !== QUOTE) {
    if (source[at] === BACKSLASH) at += 1
    into[length] = source[at] ?? 0
    length += 1
    at += 1
  }
  return { end: at + 1, length }
}

export function copyArray(copyElement: Copier): Copier {
  return (out: ByteWriter, source, from, to) => {
    let at = from
    // Bounds other than 1 stand in front: `[0:1]={…}`.
    if (source[at] === 0x5b) while (source[at] !== OPEN && at < to) at += 1
    while (at < to) {
      const byte = source[at]
      if (byte === OPEN || byte === CLOSE || byte === COMMA) {
        out.byte(byte === OPEN ? 0x5b : byte === CLOSE ? 0x5d : COMMA)
        at += 1
      } else if (byte === QUOTE) {
        const element = Buffer.allocUnsafe(to - at)
        const { end, length } = unquote(source, at + 1, element)
        copyElement(out, element, 0, length)
        at = end
      } else {
        const start = at
        while (at < to && source[at] !== COMMA && source[at] !== CLOSE) at += 1
        if (isNull(source, start, at)) out.raw(NULL)
        else copyElement(out, source, start, at)
      }
    }
  }
}
