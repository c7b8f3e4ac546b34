/**
 * A file's lines as bytes, with where they stand.
 * Invariant: memory holds one line and one block of the file, however long either is: a line beyond the cap is handed on
 * cut, and marked so.
 */
import { createReadStream } from 'node:fs'

const NEWLINE = 10
const BLOCK_BYTES = 256 * 1024
export const MOST_LINE_BYTES = 16 * 1024 * 1024

export interface Line {
  /** Without its end. */
  readonly bytes: Buffer
  /** The line's number in the file, from 1. */
  readonly number: number
  /** Where the next line begins. */
  readonly end: number
  /** The end of the line is written. */
  readonly isWhole: boolean
  readonly isCut: boolean
}

const trimmed = (bytes: Buffer) => (bytes.at(-1) === 13 ? bytes.subarray(0, -1) : bytes)

/** @param from a byte at which a line begins, and `number` that line's number */
export async function* readLines(
  path: string,
  from: number,
  number: number,
  signal: AbortSignal,
): AsyncGenerator<Line, void, void> {
  const stream = createReadStream(path, { start: from, highWaterMark: BLOCK_BYTES, signal })
  let parts: Buffer[] = []
  let held = 0
  let end = from
  let at = number
  const take = (part: Buffer) => {
    if (held < MOST_LINE_BYTES) parts.push(part)
    held += part.length
  }
  const line = (isWhole: boolean): Line => {
    const isCut = held > MOST_LINE_BYTES
    const [only] = parts
    const bytes = parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
    const made = { bytes: trimmed(bytes), number: at, end, isWhole, isCut }
    parts = []
    held = 0
    at += 1
    return made
  }
  for await (const block of stream) {
    const buffer: Buffer = block
    let start = 0
    for (let found = buffer.indexOf(NEWLINE); found !== -1; found = buffer.indexOf(NEWLINE, start)) {
      take(buffer.subarray(start, found))
      end += found + 1 - start
      start = found + 1
      yield line(true)
    }
    take(buffer.subarray(start))
    end += buffer.length - start
  }
  if (held > 0) yield line(false)
}
