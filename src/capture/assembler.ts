/**
 * Collects decoded messages into chunks: small transactions together, large ones in pieces.
 *
 * Invariants: chunks come out in the order of the stream; a chunk is closed at a bound of entries and of bytes, so a
 * transaction of any size passes in bounded memory; `pendingBytes` counts what is not yet in the log. Lives as long as
 * its connection: what it holds when that ends is sent again.
 */
import type { Chunk, Entry } from '../log/log.ts'
import { END_OF_TRANSACTION, type Position, START } from '../log/position.ts'
import type { Decoded } from './pgoutput.ts'

const MAX_CHUNK_ENTRIES = 1_000
const MAX_CHUNK_BYTES = 1_048_576

export class Assembler {
  readonly #ready: Chunk[] = []
  #entries: Entry[] = []
  #bytes = 0
  #commit: Chunk['commit'] = null
  #end: Position = START
  #committedAtMs = 0
  #pendingBytes = 0

  /** Estimated memory of the entries not yet handed over, bytes. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** True when everything received is in the log, commits without entries too. */
  get isEmpty(): boolean {
    return this.#pendingBytes === 0 && this.#ready.length === 0 && this.#commit === null
  }

  add(decoded: Decoded): void {
    if (decoded.kind === 'entries') {
      for (const entry of decoded.entries) this.#entries.push(entry)
      const last = decoded.entries.at(-1)
      if (last !== undefined) {
        this.#end = last.position
        this.#committedAtMs = last.committedAtMs
      }
      this.#bytes += decoded.bytes
      this.#pendingBytes += decoded.bytes
      if (this.#entries.length >= MAX_CHUNK_ENTRIES || this.#bytes >= MAX_CHUNK_BYTES) this.#close()
    } else if (decoded.kind === 'commit') {
      this.#commit = { lsn: decoded.lsn, endLsn: decoded.endLsn }
      this.#end = { lsn: decoded.lsn, index: END_OF_TRANSACTION }
      this.#committedAtMs = decoded.committedAtMs
    }
  }

  take(): Chunk | undefined {
    if (this.#ready.length === 0) this.#close()
    return this.#ready.shift()
  }

  /** The chunk is in the log now, and no longer pending here. */
  handedOver(chunk: Chunk): void {
    this.#pendingBytes -= chunk.bytes
  }

  #close(): void {
    if (this.#entries.length === 0 && this.#commit === null) return
    this.#ready.push({
      entries: this.#entries,
      end: this.#end,
      commit: this.#commit,
      committedAtMs: this.#committedAtMs,
      bytes: this.#bytes,
    })
    this.#entries = []
    this.#bytes = 0
    this.#commit = null
  }
}
