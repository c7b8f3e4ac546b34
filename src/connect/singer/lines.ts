/**
 * The lines of a stream of bytes, pulled a chunk's worth at a time.
 * Invariants: nothing is read ahead of the caller but one chunk, so a tap is held back by whoever lands its records; a
 * line beyond the cap is passed over in constant memory and told of by its beginning.
 */
import { setTimeout as wait } from 'node:timers/promises'

export interface Line {
  readonly text: string
  /** Its length in bytes when it was beyond the cap; `text` is then only its beginning. */
  readonly tooLong?: number
}

/** How much of a line that is too long is kept. */
const KEPT_BYTES = 4_096
const NEWLINE = 10

function textOf(parts: readonly Buffer[]): string {
  const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  return bytes.toString('utf8').replace(/\r$/, '')
}

export async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  maxBytes: number,
  onChunk: () => void = () => undefined,
): AsyncGenerator<readonly Line[], void, void> {
  let parts: Buffer[] = []
  let bytes = 0
  const take = (part: Buffer) => {
    bytes += part.length
    if (bytes <= maxBytes) parts.push(part)
    else if (parts.length > 1 || (parts[0]?.length ?? 0) > KEPT_BYTES) {
      // The copy lets the large chunks go.
      parts = [Buffer.from(Buffer.concat(parts).subarray(0, KEPT_BYTES))]
    } else if (parts.length === 0) parts = [Buffer.from(part.subarray(0, KEPT_BYTES))]
  }
  const end = (): Line => {
    const text = textOf(parts)
    const line = bytes > maxBytes ? { text: text.slice(0, KEPT_BYTES), tooLong: bytes } : { text }
    parts = []
    bytes = 0
    return line
  }
  for await (const chunk of chunks) {
    onChunk()
    const lines: Line[] = []
    let from = 0
    for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, from)) {
      take(chunk.subarray(from, at))
      from = at + 1
      lines.push(end())
    }
    if (from < chunk.length) take(chunk.subarray(from))
    if (lines.length > 0) yield lines
  }
  if (bytes > 0) yield [end()]
}

export type Pulled = readonly Line[] | 'idle' | 'end'

/** Pulls lines, and says so when none came for a while; the line that was being waited for is not lost. */
export class LinePull {
  readonly #lines: AsyncGenerator<readonly Line[], void, void>
  #next: Promise<IteratorResult<readonly Line[], void>> | undefined

  constructor(lines: AsyncGenerator<readonly Line[], void, void>) {
    this.#lines = lines
  }

  async next(idleMs: number): Promise<Pulled> {
    this.#next ??= this.#lines.next()
    const patience = new AbortController()
    const idle = wait(idleMs, 'idle' as const, { signal: patience.signal }).catch(() => 'idle' as const)
    const first = await Promise.race([this.#next, idle])
    patience.abort()
    if (first === 'idle') return 'idle'
    this.#next = undefined
    return first.done === true ? 'end' : first.value
  }
}
