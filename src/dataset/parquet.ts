/**
 * Rows as a Parquet file: typed, compressed by zstd, in row groups; and read back.
 * Invariant: memory holds one row group, by rows and by text. What is written depends on the rows alone.
 */
import { promisify } from 'node:util'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { type AsyncBuffer, parquetMetadataAsync, parquetReadObjects, type SchemaElement } from 'hyparquet'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import type { FileEntry, HashedFile } from './hashed-file.ts'

export type Cell = bigint | number | boolean | string | null

/** `timestamp`: microseconds since 1970 UTC as bigint. */
export const PARQUET_TYPE = {
  int32: { type: 'INT32' },
  int64: { type: 'INT64' },
  double: { type: 'DOUBLE' },
  boolean: { type: 'BOOLEAN' },
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  timestamp: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
} as const satisfies Record<string, Omit<SchemaElement, 'name'>>

export interface Column {
  readonly name: string
  readonly type: keyof typeof PARQUET_TYPE
}

const GROUP_ROWS = 20_000
const GROUP_CHARACTERS = 32 * 1024 * 1024
const nextTurn = promisify(setImmediate)

export class ParquetRows {
  readonly #file: HashedFile
  readonly #columns: readonly Column[]
  readonly #bytes = new ByteWriter()
  readonly #writer: ParquetWriter
  #cells: Cell[][]
  #characters = 0
  #rows = 0

  constructor(file: HashedFile, columns: readonly Column[]) {
    this.#file = file
    this.#columns = columns
    this.#cells = columns.map(() => [])
    const schema: SchemaElement[] = [
      { name: 'root', num_children: columns.length },
      ...columns.map(({ name, type }): SchemaElement => ({ name, repetition_type: 'OPTIONAL', ...PARQUET_TYPE[type] })),
    ]
    const compressors = { ZSTD: (input: Uint8Array) => zstdCompressSync(input) }
    this.#writer = new ParquetWriter({ writer: this.#bytes, schema, codec: 'ZSTD', compressors, createdBy: 'rescore' })
  }

  /** @param row a cell for each column, in their order */
  async add(row: readonly Cell[]): Promise<void> {
    for (const [index, cells] of this.#cells.entries()) {
      const cell = row[index] ?? null
      cells.push(cell)
      if (typeof cell === 'string') this.#characters += cell.length
    }
    this.#rows += 1
    const size = this.#cells[0]?.length ?? 0
    if (size >= GROUP_ROWS || this.#characters >= GROUP_CHARACTERS) await this.#flush()
  }

  async #flush(): Promise<void> {
    const size = this.#cells[0]?.length ?? 0
    if (size > 0) {
      const columnData = this.#columns.map(({ name }, index) => ({ name, data: this.#cells[index] ?? [] }))
      // Without a flush of its own the writer is synchronous.
      await this.#writer.write({ columnData, rowGroupSize: size })
    }
    this.#cells = this.#columns.map(() => [])
    this.#characters = 0
    await this.#drain()
    await nextTurn()
  }

  /** `offset` goes on counting: places in the file are told by it. */
  async #drain(): Promise<void> {
    await this.#file.write(new Uint8Array(this.#bytes.buffer, 0, this.#bytes.index))
    this.#bytes.index = 0
  }

  async finish(): Promise<FileEntry> {
    await this.#flush()
    await this.#writer.finish()
    await this.#drain()
    return await this.#file.finish(this.#rows)
  }
}

const decompressors = {
  ZSTD: (input: Uint8Array, length: number) => {
    const output = zstdDecompressSync(input)
    if (output.length !== length) throw new Error(`A page of ${length} bytes unpacks to ${output.length}.`)
    return output
  },
}

export type ReadRow = Readonly<Record<string, unknown>>

/** The rows of a file, a piece at a time; times as microseconds. */
export async function* readParquet(file: AsyncBuffer): AsyncGenerator<readonly ReadRow[]> {
  const metadata = await parquetMetadataAsync(file)
  let rowStart = 0
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows)
    const rows: readonly ReadRow[] = await parquetReadObjects({
      file,
      metadata,
      rowStart,
      rowEnd,
      compressors: decompressors,
      parsers: { timestampFromMicroseconds: (micros: bigint) => micros },
    })
    yield rows
    rowStart = rowEnd
  }
}
