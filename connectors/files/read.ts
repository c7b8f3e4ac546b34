/**
 * One file, read from a place in it: rows, what cannot be one, and now and then where the next read may begin.
 *
 * Invariant: `place` points behind everything yielded before it and at the beginning of a line, so a read that begins
 * there misses nothing and repeats nothing.
 */
import { z } from 'zod'
import { type CellValue, fitText, type Message, parseJson, type SourceRow, type Table } from '../../src/define/index.ts'
import { csvRecords, parseRecord } from './csv.ts'
import { type Line, readLines } from './lines.ts'
import { delimiterOf, type FileStream, isCsv } from './options.ts'

export const placeSchema = z.object({
  /** The byte, and the number of the line that begins there. */
  offset: z.number(),
  line: z.number(),
  /** Names of the fields, once they are known. */
  header: z.array(z.string()).nullable(),
})
export type Place = z.infer<typeof placeSchema>
export const BEGINNING: Place = { offset: 0, line: 1, header: null }

export type Read = { readonly message: Message<never> } | { readonly place: Place; readonly rows: number }

const BATCH = 1_000
const BATCH_BYTES = 8 * 1024 * 1024
const BOM = '\uFEFF'
/** Of a line that is kept with its reason. */
const MOST_KEPT = 10_000

interface Source {
  readonly stream: FileStream
  readonly path: string
  /** Only lines whose end is written count. */
  readonly isGrowing: boolean
  readonly signal: AbortSignal
}

function refused(
  table: Table,
  path: string,
  line: number,
  text: string,
  reason: string,
  code = 'CONNECT_FILE_LINE',
): Read {
  const raw = { file: path, line, text: text.slice(0, MOST_KEPT) }
  return {
    message: {
      op: 'reject',
      table,
      key: `${path}:${line}`,
      raw,
      code,
      reason: `Line ${line} of ${path} is no record: ${reason}.`,
    },
  }
}

/** What keeps a row out of its table, so that it is told with the line it came from. */
function misfit(table: Table, row: SourceRow): string | null {
  for (const [name, { kind, nullable }] of Object.entries(table.columns)) {
    if (nullable && !table.key.includes(name)) continue
    const value = row[name] ?? null
    if (value === null) return `it has no ${name}`
    if (typeof value === 'string' && kind !== 'text' && fitText(kind, value) === undefined)
      return `its ${name} is no ${kind}`
  }
  return null
}

/**
 * The column of each field; a field that is none keeps its name and goes to `raw`, under another one where a column that
 * is read from elsewhere is called so.
 */
function namesOf({ table, columns = {} }: FileStream): (field: string) => string {
  const byField = new Map(Object.entries(columns).map(([column, field]) => [field, column]))
  return (field) =>
    byField.get(field) ??
    (Object.hasOwn(columns, field) && Object.hasOwn(table.columns, field) ? `${field} (in the file)` : field)
}

function isCell(value: unknown): value is CellValue {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

async function* textLines(source: Source, place: Place): AsyncGenerator<Line, void, void> {
  for await (const line of readLines(source.path, place.offset, place.line, source.signal)) {
    if (!line.isWhole && source.isGrowing) return
    yield line
  }
}

function decoderOf({ encoding = 'utf-8' }: FileStream): (bytes: Buffer) => string {
  const decoder = new TextDecoder(encoding, { fatal: true, ignoreBOM: true })
  return (bytes) => decoder.decode(bytes)
}

/** Counts what has been yielded since the last place. */
class Batch {
  #rows = 0
  #bytes = 0

  /** @returns whether a place is due */
  add(bytes: number): boolean {
    this.#rows += 1
    this.#bytes += bytes
    return this.#rows >= BATCH || this.#bytes >= BATCH_BYTES
  }

  take(): number {
    const rows = this.#rows
    this.#rows = 0
    this.#bytes = 0
    return rows
  }
}

async function* readJsonLines(source: Source, from: Place): AsyncGenerator<Read, void, void> {
  const { stream, path } = source
  const { table } = stream
  const decode = decoderOf(stream)
  const nameOf = namesOf(stream)
  const batch = new Batch()
  let place = from
  for await (const { bytes, number, end, isCut } of textLines(source, from)) {
    place = { ...place, offset: end, line: number + 1 }
    if (bytes.length > 0) yield jsonRow(bytes, number, isCut)
    if (batch.add(bytes.length)) yield { place, rows: batch.take() }
  }
  yield { place, rows: batch.take() }

  function jsonRow(bytes: Buffer, number: number, isCut: boolean): Read {
    let text = ''
    try {
      text = decode(bytes)
      if (number === 1 && text.startsWith(BOM)) text = text.slice(1)
      if (isCut) return refused(table, path, number, text, 'it is too long')
      const value = parseJson(text)
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        return refused(table, path, number, text, 'it is no JSON object')
      const row = Object.fromEntries(
        Object.entries(value).map(([field, cell]: [string, unknown]) => [nameOf(field), isCell(cell) ? cell : null]),
      )
      const why = misfit(table, row)
      return why === null ? { message: { op: 'upsert', table, row } } : refused(table, path, number, text, why)
    } catch (error) {
      return refused(
        table,
        path,
        number,
        text || bytes.toString('latin1'),
        error instanceof SyntaxError ? 'it is no JSON' : 'it is no text in the encoding declared',
      )
    }
  }
}

/** @returns what is wrong with the names, or null */
function headerFault({ table }: FileStream, header: readonly string[], names: readonly string[]): string | null {
  const twice = header.find((name, at) => header.indexOf(name) !== at)
  if (twice !== undefined) return `two fields are called '${twice}'`
  const missing = table.key.find((column) => !names.includes(column))
  return missing === undefined ? null : `no field gives the key ${missing} (it has: ${header.join(', ').slice(0, 200)})`
}

async function* readCsv(source: Source, from: Place): AsyncGenerator<Read, void, void> {
  const { stream, path } = source
  const { table } = stream
  const reader = { delimiter: delimiterOf(stream), decode: decoderOf(stream) }
  const lines = textLines(source, from)
  let place = from
  let header = stream.header ?? from.header
  if (header === null) {
    const first = await lines.next()
    if (first.done === true) return
    const line = first.value
    let text = line.bytes.toString('latin1')
    let parsed: readonly string[] | string = 'it is no text in the encoding declared'
    try {
      text = reader.decode(line.bytes)
      parsed = parseRecord(text.startsWith(BOM) ? text.slice(1) : text, reader)
    } catch {
      // Said below, as any other fault of the header.
    }
    const names = typeof parsed === 'string' ? [] : parsed.map((name) => name.trim())
    const fault = typeof parsed === 'string' ? parsed : headerFault(stream, names, names.map(namesOf(stream)))
    if (fault !== null) {
      yield refused(table, path, line.number, text, `${fault}; nothing of this file is read`, 'CONNECT_FILE_HEADER')
      return
    }
    header = names
    place = { offset: line.end, line: line.number + 1, header: [...names] }
    yield { message: { op: 'schema', table, fields: names.map((name) => ({ name, type: 'text' })) } }
  }
  const columns = header.map(namesOf(stream))
  const batch = new Batch()
  const records = withoutBom(lines, stream.header !== undefined)
  for await (const record of csvRecords(records, header.length, reader, source.isGrowing)) {
    const { line } = record
    if ('reason' in record) {
      yield refused(table, path, line.number, record.text, record.reason)
      place = { ...place, offset: line.end, line: line.number + 1 }
    } else {
      const row = Object.fromEntries(
        columns.map((column, at) => [column, record.fields[at] === '' ? null : (record.fields[at] ?? null)]),
      )
      const why = misfit(table, row)
      yield why === null
        ? { message: { op: 'upsert', table, row } }
        : refused(table, path, line.number, record.fields.join(reader.delimiter), why)
      place = { ...place, offset: record.end, line: record.lastNumber + 1 }
    }
    if (batch.add(place.offset - line.end + line.bytes.length)) yield { place, rows: batch.take() }
  }
  yield { place, rows: batch.take() }
}

/** A file without a header may begin with the mark of UTF-8 all the same. */
async function* withoutBom(lines: AsyncIterable<Line>, isPossible: boolean): AsyncGenerator<Line, void, void> {
  for await (const line of lines) {
    const hasBom = isPossible && line.number === 1 && line.bytes.subarray(0, 3).equals(Buffer.from(BOM))
    yield hasBom ? { ...line, bytes: line.bytes.subarray(3) } : line
  }
}

/** Ends with a place behind all it has read, but where the header is refused. */
export function readFrom(source: Source, place: Place): AsyncGenerator<Read, void, void> {
  return isCsv(source.stream) ? readCsv(source, place) : readJsonLines(source, place)
}
