/** What is said of files that are to be read: where they are, what they mean, which of their fields is which column. */
import type { Table } from '../../src/define/index.ts'

export type FileMode =
  /** Each row of each file is the record as it is now; nothing is ever deleted. A file that changed is read again. */
  | 'upsert'
  /** The files together are the whole table: a row that is in none of them is deleted, once all were read without a fault. */
  | 'snapshot'
  /** Files only grow, line by line: what was read is never read again. A line counts once its end is written. */
  | 'append'

export interface FileStream {
  /** Default: the table's name. */
  readonly name?: string
  readonly table: Table
  /** A path or a glob, such as `/data/companies-*.csv`. Read in the order of their names. */
  readonly path: string
  /** Default: by the ending: csv, tsv, jsonl, ndjson. */
  readonly format?: 'csv' | 'jsonl'
  /** Default: upsert. */
  readonly mode?: FileMode
  /** Where a column's value is: a name of the header, or a field. Default: the column's name. */
  readonly columns?: Readonly<Record<string, string>>
  /** CSV: between two fields. Default: a comma; a tab for .tsv. */
  readonly delimiter?: string
  /** CSV: names of the fields, for files that do not begin with them. */
  readonly header?: readonly string[]
  /** As TextDecoder names it, such as windows-1252. Default: utf-8. Not utf-16. */
  readonly encoding?: string
}

export interface FilesOptions {
  /** Of the connector. Default: files. */
  readonly name?: string
  readonly streams: readonly FileStream[]
  /** false: what is there at the first pass is read once, at once. Default: watched. */
  readonly watch?: boolean
  /** Pause between two looks; a file is whole when it has not changed from one to the next. Default: 5 s. */
  readonly everyMs?: number
}

export const isCsv = ({ format, path }: FileStream): boolean =>
  format === undefined ? !/\.(jsonl|ndjson)$/i.test(path) : format === 'csv'
export const delimiterOf = ({ delimiter, path }: FileStream): string => delimiter ?? (/\.tsv$/i.test(path) ? '\t' : ',')
