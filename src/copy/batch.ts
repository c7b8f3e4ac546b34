/**
 * What is to be landed at the next checkpoint: of each row the last that was said of it.
 *
 * Invariant: the messages leave each row as the changes, one after the other, would have left it; a row of which only some
 * columns came (the others are large and were not touched) never puts in a row that is not whole. Pure.
 */
import { type CopiedTable, ExactText, type Message, type SourceRow } from '../define/index.ts'
import { keyColumns, keyOf, type MutableRow } from './describe.ts'
import type { CopyState } from './state.ts'

type CopyMessage = Message<CopyState>

interface Held {
  readonly key: SourceRow
  /** null: deleted. */
  readonly row: MutableRow | null
  readonly isWhole: boolean
}

interface TableBatch {
  readonly copied: CopiedTable
  isTruncated: boolean
  readonly rows: Map<string, Held>
  /** Keys that stand in the listing of the first copy. */
  readonly listed: Map<string, SourceRow>
  isListingWhole: boolean
}

const KEYS_A_MESSAGE = 1_000
/** A snapshot and a truncate are certain of what they say: a right that is lost fails them, and shortens nothing. */
const ALL = 1
const ROW_BYTES = 100

/** About how much a row is, for bounds. */
export function bytesOf(row: MutableRow): number {
  let bytes = ROW_BYTES
  for (const value of Object.values(row)) {
    if (typeof value === 'string') bytes += value.length
    else if (value instanceof ExactText) bytes += value.text.length
    else if (typeof value === 'object' && value !== null) bytes += JSON.stringify(value).length
  }
  return bytes
}

export class Batch {
  readonly #listing: string
  readonly #tables = new Map<string, TableBatch>()
  /** Rows held, and about how many bytes. */
  size = 0
  bytes = 0

  /** @param listing name of the listings of this copy */
  constructor(listing: string) {
    this.#listing = listing
  }

  #of(copied: CopiedTable): TableBatch {
    const known = this.#tables.get(copied.from)
    if (known !== undefined) return known
    const made = { copied, isTruncated: false, rows: new Map(), listed: new Map(), isListingWhole: false }
    this.#tables.set(copied.from, made)
    return made
  }

  #hold(copied: CopiedTable, key: string, held: Held): void {
    this.#of(copied).rows.set(key, held)
    this.size += 1
    if (held.row !== null) this.bytes += bytesOf(held.row)
  }

  whole(copied: CopiedTable, row: MutableRow, isListed: boolean): void {
    const key = keyOf(copied, row)
    this.#hold(copied, key, { key: keyColumns(copied, row), row, isWhole: true })
    const table = this.#of(copied)
    // The listing is made whole with this batch: what comes in it after the last piece stands in it too.
    if (isListed || table.isListingWhole) table.listed.set(key, keyColumns(copied, row))
  }

  partial(copied: CopiedTable, row: MutableRow): void {
    const key = keyOf(copied, row)
    const before = this.#of(copied).rows.get(key)
    const known = before?.row ?? {}
    this.#hold(copied, key, {
      key: keyColumns(copied, row),
      row: { ...known, ...row },
      isWhole: before?.isWhole === true && before.row !== null,
    })
  }

  deleted(copied: CopiedTable, row: SourceRow): void {
    this.#hold(copied, keyOf(copied, row), { key: keyColumns(copied, row), row: null, isWhole: true })
  }

  truncated(copied: CopiedTable): void {
    const table = this.#of(copied)
    table.isTruncated = true
    table.rows.clear()
    table.listed.clear()
    this.size += 1
  }

  /** The first copy has named every row: those of the table that were not named go. */
  listingWhole(copied: CopiedTable): void {
    this.#of(copied).isListingWhole = true
    this.size += 1
  }

  *messages(): Generator<CopyMessage> {
    for (const { copied, isTruncated, rows, listed, isListingWhole } of this.#tables.values()) {
      const { table } = copied
      // Nothing was ever listed under that name: every row goes, and with it what was listed before.
      if (isTruncated) yield { op: 'unlisted', table, listing: `${this.#listing} truncated`, mayRemove: ALL }
      for (const { key, row } of rows.values()) if (row === null) yield { op: 'delete', table, key, reason: 'gone' }
      for (const row of inShapes(rows.values(), true)) yield { op: 'upsert', table, row }
      for (const row of inShapes(rows.values(), false)) yield { op: 'upsert', table, row, isPartial: true }
      const keys = [...listed.values()]
      for (let at = 0; at < keys.length; at += KEYS_A_MESSAGE) {
        yield { op: 'listed', table, listing: this.#listing, keys: keys.slice(at, at + KEYS_A_MESSAGE) }
      }
      if (isListingWhole) yield { op: 'unlisted', table, listing: this.#listing, mayRemove: ALL }
    }
  }
}

/** Rows of the same columns together: they go into one statement. */
function* inShapes(held: Iterable<Held>, isWhole: boolean): Generator<MutableRow> {
  const shapes = new Map<string, MutableRow[]>()
  for (const { row, isWhole: whole } of held) {
    if (row === null || whole !== isWhole) continue
    const columns = Object.keys(row)
    const shape = columns.join('\n')
    const rows = shapes.get(shape)
    if (rows === undefined) shapes.set(shape, [row])
    else rows.push(row)
  }
  for (const rows of shapes.values()) yield* rows
}
