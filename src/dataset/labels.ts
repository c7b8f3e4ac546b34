/**
 * The list that was given: a CSV file of entity keys, times, and columns that are handed through as they are.
 * Invariant: read as a stream, a record at a time; bytes are hashed as they pass. A record that does not fit is handed on
 * with its reason, and its neighbours go through; a file that is not CSV at all is refused with its line.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline, Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { type ColumnKind, fitText } from '../define/index.ts'
import { type Instant, parseInstant } from '../history/instant.ts'
import { refuse } from './errors.ts'

const MOST_RECORD_BYTES = 1024 * 1024

export interface Label {
  readonly key: string
  readonly at: Instant
  /** Every column of the file, in its order. */
  readonly fields: readonly string[]
}

export interface Rejected {
  readonly line: number
  readonly reason: string
  readonly fields: readonly string[]
}

export interface LabelColumns {
  readonly header: readonly string[]
  readonly keyIndex: number
  readonly atIndex: number
}

interface Parsed {
  readonly record: readonly string[]
  readonly info: { readonly lines: number }
}

export class LabelFile {
  readonly #path: string
  readonly #hash = createHash('sha256')

  constructor(path: string) {
    this.#path = path
  }

  /** Of the whole file; once everything was read. */
  sha256(): string {
    return this.#hash.digest('hex')
  }

  async *#text(): AsyncGenerator<string> {
    const decoder = new TextDecoder('utf-8', { fatal: true })
    for await (const chunk of createReadStream(this.#path)) {
      const bytes: Buffer = chunk
      this.#hash.update(bytes)
      yield decoder.decode(bytes, { stream: true })
    }
    yield decoder.decode()
  }

  /**
   * Records with the line each ends in, the header first.
   * @throws RescoreError DATASET_ENTITIES
   */
  async *records(): AsyncGenerator<{ readonly line: number; readonly fields: readonly string[] }> {
    const parser = parse({
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
      max_record_size: MOST_RECORD_BYTES,
    })
    // What fails in between destroys the parser with its error, and so reaches whoever reads from it.
    pipeline(Readable.from(this.#text()), parser, () => undefined)
    try {
      for await (const item of parser) {
        const { record, info }: Parsed = item
        yield { line: info.lines, fields: record }
      }
    } catch (error) {
      throw this.#explained(error)
    }
  }

  #explained(error: unknown): unknown {
    if (!(error instanceof Error)) return error
    const isText = !('code' in error && error.code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
    if (isText && !(error instanceof CsvError) && !('syscall' in error)) return error
    const why = isText ? error.message : 'it is not UTF-8'
    return refuse('DATASET_ENTITIES', `${this.#path} cannot be read: ${why}.`, 'Give a CSV file with a header.', error)
  }
}

/** @throws RescoreError DATASET_ENTITIES when a column is missing or stands twice */
export function columnsOf(header: readonly string[], key: string, at: string, taken: readonly string[]): LabelColumns {
  const twice = header.find((name, index) => header.indexOf(name) !== index || taken.includes(name))
  if (twice !== undefined) {
    throw refuse(
      'DATASET_ENTITIES',
      `Column '${twice}' of the list would stand twice in the data set.`,
      `Rename it: columns are those of the list, then ${taken.join(', ')}.`,
    )
  }
  for (const name of [key, at]) {
    if (!header.includes(name)) {
      throw refuse(
        'DATASET_ENTITIES',
        `The list has no column '${name}'; it has ${header.join(', ') || 'none'}.`,
        'Name the columns: --key COLUMN for the key of the entity, --at COLUMN for the time.',
      )
    }
  }
  return { header, keyIndex: header.indexOf(key), atIndex: header.indexOf(at) }
}

/** @returns the record as a row to be served, or why it cannot be. @param horizon times from there on are not past yet */
export function labelOf(
  fields: readonly string[],
  { header, keyIndex, atIndex }: LabelColumns,
  kind: ColumnKind,
  horizon: Instant,
): Label | string {
  if (fields.length !== header.length) return `it has ${fields.length} fields where the header has ${header.length}`
  const keyText = fields[keyIndex] ?? ''
  const key = fitText(kind, keyText)
  if (keyText.trim() === '' || key === undefined || key === null) return `its key is not ${kind}`
  const at = parseInstant(fields[atIndex] ?? '')
  if (at === null) return 'its time is not one'
  if (at >= horizon) return 'its time is not past yet'
  return { key: String(key), at, fields }
}
