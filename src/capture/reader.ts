/**
 * Reads one message of the replication stream from its first byte to its last.
 *
 * Invariants: everything is copied out of the buffer, which the driver reuses; reading past the end throws (a
 * RangeError, which the decoder turns into its own error), never yields a shortened value.
 */
import { corrupt } from './corrupt.ts'

/** 2000-01-01 UTC, where PostgreSQL's times start, in milliseconds since 1970. */
export const POSTGRES_EPOCH_MS = 946_684_800_000

export class Reader {
  readonly #buffer: Buffer
  /** Byte 0 is the kind of the message. */
  #at = 1

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

  text(length: number): string {
    const end = this.#at + length
    if (end > this.#buffer.length) throw corrupt('a value longer than its message')
    const value = this.#buffer.toString('utf8', this.#at, end)
    this.#at = end
    return value
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
