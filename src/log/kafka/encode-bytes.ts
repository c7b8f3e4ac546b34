/**
 * A growing buffer that JSON is written into byte by byte, without JavaScript strings in between.
 *
 * Invariants: `bytes` and `at` are read anew after every call that may grow; the bytes belong to the writer and are
 * overwritten after `reset`, so whoever keeps them copies them. Holds the largest row seen, up to SHRINK_ABOVE.
 */
const SHRINK_ABOVE = 4 * 1_048_576
const FIRST_BYTES = 16_384

const HEX = Buffer.from('0123456789abcdef', 'latin1')
/** The letter behind the backslash, by byte; 0: no short form. */
const SHORT_ESCAPES = new Uint8Array(128)
for (const [byte, letter] of [
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
  [0x22, '"'],
  [0x5c, '\\'],
] as const) {
  SHORT_ESCAPES[byte] = letter.charCodeAt(0)
}

export class ByteWriter {
  bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  at = 0

  reset(): void {
    this.at = 0
    if (this.bytes.length > SHRINK_ABOVE) this.bytes = Buffer.allocUnsafe(FIRST_BYTES)
  }

  /** Room for `more` bytes behind `at`. */
  reserve(more: number): void {
    if (this.at + more <= this.bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.bytes.length * 2, this.at + more))
    this.bytes.copy(larger, 0, 0, this.at)
    this.bytes = larger
  }

  byte(value: number): void {
    this.reserve(1)
    this.bytes[this.at] = value
    this.at += 1
  }

  /** Bytes as they are. */
  raw(source: Uint8Array, from = 0, to = source.length): void {
    const length = to - from
    this.reserve(length)
    const { bytes } = this
    let { at } = this
    // Crossing into native code costs more than a short loop.
    if (length > 48) {
      bytes.set(from === 0 && to === source.length ? source : source.subarray(from, to), at)
      at += length
    } else {
      for (let index = from; index < to; index += 1) {
        bytes[at] = source[index] ?? 0
        at += 1
      }
    }
    this.at = at
  }

  /** ASCII only; for the slow paths. */
  ascii(text: string): void {
    this.reserve(text.length)
    this.at += this.bytes.write(text, this.at, 'latin1')
  }

  /** UTF-8 bytes as the inside of a JSON string, quotes not included. */
  escaped(source: Uint8Array, from: number, to: number): void {
    this.reserve((to - from) * 6)
    const { bytes } = this
    let { at } = this
    for (let index = from; index < to; index += 1) {
      const byte = source[index] ?? 0
      if (byte >= 0x20 && byte !== 0x22 && byte !== 0x5c) {
        bytes[at] = byte
        at += 1
        continue
      }
      const short = SHORT_ESCAPES[byte] ?? 0
      bytes[at] = 0x5c
      if (short !== 0) {
        bytes[at + 1] = short
        at += 2
      } else {
        bytes[at + 1] = 0x75
        bytes[at + 2] = 0x30
        bytes[at + 3] = 0x30
        bytes[at + 4] = HEX[byte >> 4] ?? 0
        bytes[at + 5] = HEX[byte & 15] ?? 0
        at += 6
      }
    }
    this.at = at
  }

  /** A whole number up to 2^53, in decimal. */
  integer(value: number): void {
    this.reserve(20)
    let left = value
    if (left < 0) {
      this.bytes[this.at] = 0x2d
      this.at += 1
      left = -left
    }
    let digits = 1
    for (let limit = 10; left >= limit; limit *= 10) digits += 1
    this.padded(left, digits)
  }

  /** A whole number from 0, in exactly `digits` digits. */
  padded(value: number, digits: number): void {
    this.reserve(digits)
    const { bytes, at } = this
    let place = at + digits - 1
    let left = value
    // Eight digits at a time: division of small integers is several times cheaper.
    while (place >= at) {
      const more = left >= 100_000_000 ? Math.floor(left / 100_000_000) : 0
      let part = (left - more * 100_000_000) | 0
      const stop = Math.max(at, place - 7)
      for (; place >= stop; place -= 1) {
        const rest = (part / 10) | 0
        bytes[place] = 0x30 + part - rest * 10
        part = rest
      }
      left = more
    }
    this.at = at + digits
  }
}
