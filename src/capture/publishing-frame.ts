/**
 * The LSN of a change, which stands only in the frame around its message.
 *
 * The library hands over the message alone, as a view of the driver's buffer, in which the frame is still in front of it:
 * the kind, the change's LSN, the end of WAL, the server's clock. Invariant: a message without that frame is refused.
 */
import { corrupt } from './corrupt.ts'

const XLOG_DATA = 0x77
const FRAME_BYTES = 25

/** In halves, because it is read for every row. */
export class ChangeLsn {
  high = 0
  low = 0
  #buffer: Buffer = Buffer.alloc(0)

  set(high: number, low: number): void {
    this.high = high
    this.low = low
  }

  read(message: Buffer): void {
    if (this.#buffer.buffer !== message.buffer) this.#buffer = Buffer.from(message.buffer)
    const at = message.byteOffset - FRAME_BYTES
    if (this.#buffer[at] !== XLOG_DATA) throw corrupt('a message outside its frame')
    this.high = this.#buffer.readUInt32BE(at + 1)
    this.low = this.#buffer.readUInt32BE(at + 5)
  }
}
