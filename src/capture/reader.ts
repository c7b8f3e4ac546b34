/**
 * Reads one message of the replication stream from its first byte to its last.
 *
 * Invariants: everything is copied out of the buffer, which the driver reuses; reading past the end throws (a
 * RangeError, which the decoder turns into its own error), never yields a shortened value.
 */
import { corrupt } from './corrupt.ts'

/** 2000-01-01 UTC, where PostgreSQL's times start, in milliseconds since 1970. */
export const POSTGRES_EPOCH_MS = 946_684_800_000

/** Of a value besides its text: its head, and its place in the row. */
const VALUE_BYTES = 8
/** From this many bytes on calling out to compare them pays. */
const LONG = 64

export class Reader {
  readonly #buffer: Buffer
  /** Byte 0 is the kind of the message. */
  #at = 1
  #copied = 0

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  uint8(): number {
    const value = this.#buffer.readUInt8(this.#at)
    this.#at += 1
    return value
  }

  uint16(): number {
    const value = this.#buffer.readUInt16BE(this.#at)
    this.#at += 2
    return value
  }

  uint32(): number {
    const value = this.#buffer.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  uint64(): bigint {
    const value = this.#buffer.readBigUInt64BE(this.#at)
    this.#at += 8
    return value
  }

  /** Milliseconds since 1970; the fraction holds the microseconds. */
  timeMs(): number {
    const micros = this.#buffer.readBigInt64BE(this.#at)
    this.#at += 8
    return POSTGRES_EPOCH_MS + Number(micros) / 1000
  }

  /** Passes over a value. Returns where it starts. */
  skip(length: number): number {
    const start = this.#at
    const end = start + length
    if (end > this.#buffer.length) throw corrupt('a value longer than its message')
    this.#at = end
    return start
  }

  text(length: number): string {
    return this.textAt(this.skip(length), length)
  }

  /** A value that was passed over. */
  textAt(start: number, length: number): string {
    this.#copied += VALUE_BYTES + length
    return this.#buffer.toString('utf8', start, start + length)
  }

  /** Whether two values that were passed over are the same byte for byte. */
  areSame(a: number, b: number, length: number): boolean {
    const buffer = this.#buffer
    if (length > LONG) return buffer.compare(buffer, a, a + length, b, b + length) === 0
    for (let byte = 0; byte < length; byte += 1) if (buffer[a + byte] !== buffer[b + byte]) return false
    return true
  }

  /** Bytes of the values that were copied out, with what each costs however short. */
  get copied(): number {
    return this.#copied
  }

  cstring(): string {
    const end = this.#buffer.indexOf(0, this.#at)
    if (end < 0) throw corrupt('a name without its end')
    const value = this.#buffer.toString('utf8', this.#at, end)
    this.#at = end + 1
    return value
  }

  /** Every message is known to its last byte: more means that we misread it. */
  end(): void {
    if (this.#at !== this.#buffer.length) throw corrupt(`${this.#buffer.length - this.#at} bytes too many in a message`)
  }
}
