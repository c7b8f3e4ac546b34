/**
 * One tuple of a pgoutput message as places in that message: where each column's text starts and ends.
 *
 * Invariants: nothing is copied; the places hold only until the message's tick is over, because the driver reuses its
 * buffer; a length that leads past the end of the message throws, never yields a shortened value.
 */
import { corruptMessage } from './encode-error.ts'

/** In place of an end. */
export const NULL_VALUE = -1
/** TOASTed and not touched by the update: the stream does not carry it. */
export const UNCHANGED_VALUE = -2
/** A tuple of key columns only has no room for it. */
export const UNKNOWN_VALUE = -3

const TEXT = 0x74
const NULL = 0x6e
const UNCHANGED = 0x75

export class TuplePlaces {
  readonly starts: Int32Array
  readonly ends: Int32Array
  /** Whether any value is not in the stream. */
  isPartial = false

  constructor(columns: number) {
    this.starts = new Int32Array(columns)
    this.ends = new Int32Array(columns)
  }

  /** Reads the tuple at `from`; returns the place behind it. */
  read(message: Buffer, from: number): number {
    const { starts, ends } = this
    const size = message.length
    if (from + 2 > size) throw corruptMessage('a tuple without its columns')
    const count = ((message[from] ?? 0) << 8) | (message[from + 1] ?? 0)
    if (count !== starts.length) throw corruptMessage(`a row of ${count} columns, described with ${starts.length}`)
    this.isPartial = false
    let at = from + 2
    for (let column = 0; column < count; column += 1) {
      const kind = message[at]
      at += 1
      if (kind === TEXT) {
        const length =
          (message[at] ?? 0) * 0x1000000 +
          (((message[at + 1] ?? 0) << 16) | ((message[at + 2] ?? 0) << 8) | (message[at + 3] ?? 0))
        at += 4
        starts[column] = at
        at += length
        if (at > size) throw corruptMessage('a value longer than its message')
        ends[column] = at
      } else if (kind === NULL) ends[column] = NULL_VALUE
      else if (kind === UNCHANGED) {
        ends[column] = UNCHANGED_VALUE
        this.isPartial = true
      } else throw corruptMessage(`a column of unknown kind ${kind}`)
    }
    return at
  }

  /** Keeps only the columns of the identity: in a key tuple null means "not part of the key". */
  keepOnly(columns: readonly boolean[]): void {
    for (let column = 0; column < this.ends.length; column += 1) {
      if (columns[column] === true) continue
      this.ends[column] = UNKNOWN_VALUE
      this.isPartial = true
    }
  }

  /** Takes what the stream left out from the whole old row of the same message. */
  fillFrom(old: TuplePlaces): void {
    this.isPartial = false
    for (let column = 0; column < this.ends.length; column += 1) {
      if (this.ends[column] !== UNCHANGED_VALUE) continue
      this.starts[column] = old.starts[column] ?? 0
      this.ends[column] = old.ends[column] ?? NULL_VALUE
      if ((this.ends[column] ?? 0) < NULL_VALUE) this.isPartial = true
    }
  }
}
