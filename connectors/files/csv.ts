/**
 * Records out of the lines of a CSV file. csv-parse reads the fields; which lines make a record is decided here, so that a
 * line that is wrong takes none of its neighbours with it.
 *
 * Invariant: a quote that is never closed, or closed by another stray one further down, costs the one line it stands in:
 * lines are joined only into a record that has as many fields as the header, else the first of them is refused and the rest
 * are looked at anew. At most MOST_JOINED lines and MOST_JOINED_BYTES are ever held.
 */
import { parse } from 'csv-parse/sync'
import type { Line } from './lines.ts'

const QUOTE = 34
const MOST_JOINED = 1_000
const MOST_JOINED_BYTES = 4 * 1024 * 1024

export interface CsvRecord {
  readonly fields: readonly string[]
  readonly line: Line
  /** Of the last line. */
  readonly end: number
  readonly lastNumber: number
}

export interface BadLine {
  readonly line: Line
  readonly reason: string
  readonly text: string
}

export interface CsvReader {
  readonly delimiter: string
  /** @throws TypeError for bytes that are no text */
  decode(bytes: Buffer): string
}

/** One record, or why it is none. Quotes that are out of place are text, but where lines were joined for their sake. */
export function parseRecord(text: string, { delimiter }: Pick<CsvReader, 'delimiter'>): readonly string[] | string {
  try {
    const records: string[][] = parse(text, {
      delimiter,
      record_delimiter: '\n',
      relax_quotes: !text.includes('\n'),
      relax_column_count: true,
    })
    const [only, second] = records
    return only === undefined ? [] : second === undefined ? only : 'its quotes end within a line'
  } catch (error) {
    return error instanceof Error ? error.message.replace(/ at line \d+.*$/s, '') : String(error)
  }
}

const quotesIn = (bytes: Buffer): number => {
  let quotes = 0
  for (let at = bytes.indexOf(QUOTE); at !== -1; at = bytes.indexOf(QUOTE, at + 1)) quotes += 1
  return quotes
}

const misses = (fields: readonly string[], width: number) =>
  `it has ${fields.length} fields where the header has ${width}`

/** Lines that may make one record, and what is known of them. */
class Joined {
  readonly lines: Line[] = []
  bytes = 0
  quotes = 0

  add(line: Line): void {
    this.lines.push(line)
    this.bytes += line.bytes.length
    this.quotes += quotesIn(line.bytes)
  }

  get isFull(): boolean {
    return this.lines.length >= MOST_JOINED || this.bytes > MOST_JOINED_BYTES
  }
}

/** @returns a record, what is wrong with the first line, or undefined: more lines are needed */
function judge(joined: Joined, width: number, reader: CsvReader, isLast: boolean): CsvRecord | BadLine | undefined {
  const [first] = joined.lines
  const last = joined.lines.at(-1)
  if (first === undefined || last === undefined) return undefined
  const bad = (reason: string, text = ''): BadLine => ({ line: first, reason, text })
  if (joined.lines.some(({ isCut }) => isCut)) return bad('it is too long')
  const isOpen = joined.quotes % 2 === 1
  const mayGrow = isOpen && !joined.isFull && !isLast
  // A stray quote within a field is text, where the line is whole with it; more lines with one are not asked each time.
  if (mayGrow && joined.lines.length > 1) return undefined
  let text: string
  try {
    text = joined.lines.map(({ bytes }) => reader.decode(bytes)).join('\n')
  } catch {
    return bad('it is no text in the encoding declared', first.bytes.toString('latin1'))
  }
  const fields = joined.quotes === 0 ? text.split(reader.delimiter) : parseRecord(text, reader)
  if (typeof fields !== 'string' && fields.length === width)
    return { fields, line: first, end: last.end, lastNumber: last.number }
  if (mayGrow) return undefined
  return bad(typeof fields === 'string' ? fields : misses(fields, width), text.split('\n')[0] ?? '')
}

/**
 * Records and bad lines in the order of the file; empty lines are neither.
 * @param isGrowing a record whose quotes are still open at the end is left for later: its rest may be on its way
 */
export async function* csvRecords(
  lines: AsyncIterable<Line>,
  width: number,
  reader: CsvReader,
  isGrowing = false,
): AsyncGenerator<CsvRecord | BadLine, void, void> {
  const source = lines[Symbol.asyncIterator]()
  let again: Line[] = []
  let isEnd = false
  let joined = new Joined()
  for (;;) {
    let line = again.shift()
    if (line === undefined && !isEnd) {
      const next = await source.next()
      if (next.done === true) isEnd = true
      else line = next.value
    }
    if (line === undefined && joined.lines.length === 0) return
    if (line !== undefined) {
      if (joined.lines.length === 0 && line.bytes.length === 0) continue
      joined.add(line)
    }
    const judged = judge(joined, width, reader, isEnd && again.length === 0 && !isGrowing)
    if (judged === undefined && line === undefined) return
    if (judged === undefined) continue
    yield judged
    // Of lines that make no record only the first is to blame.
    if ('reason' in judged) again = [...joined.lines.slice(1), ...again]
    joined = new Joined()
  }
}
