/**
 * Rows as the stream carries them: the table as it was last described, and where the values of one tuple lie.
 *
 * Invariants: a value that is not in the stream is left out, never turned into null; so is one that nobody reads. Two
 * things are not in the stream: a TOASTed value the update did not touch, and whatever a key-only tuple has no room for.
 * What changed is told from the bytes, so that it is known of columns whose values nobody reads.
 */
import { isPlanted } from '../faults.ts'
import type { Row } from '../log/log.ts'
import { corrupt } from './corrupt.ts'
import type { Reader } from './reader.ts'

export interface Relation {
  /** `schema.name` */
  readonly id: string
  readonly columns: readonly string[]
  /** Oid of the type, by column; of a domain its own. */
  readonly types: readonly number[]
  /** Part of the replica identity, by column. */
  readonly identity: readonly boolean[]
  /** Whether anyone reads its values, by column. */
  readonly isRead: readonly boolean[]
}

/** Two numbers a column, in the order of the relation: where its text starts in the message, and its length in bytes. */
export type Tuple = readonly number[]

/** Instead of a length. */
const IS_NULL = -1
const NOT_SENT = -2

const TEXT = 0x74
const NULL = 0x6e
const UNCHANGED = 0x75

/** @param readOf the columns of a table whose values anyone reads; undefined: all */
export function readRelation(
  reader: Reader,
  readOf: (table: string) => ReadonlySet<string> | undefined,
): { relid: number; relation: Relation } {
  const relid = reader.uint32()
  const id = `${reader.cstring()}.${reader.cstring()}`
  reader.uint8()
  const count = reader.uint16()
  const columns: string[] = []
  const types: number[] = []
  const identity: boolean[] = []
  for (let column = 0; column < count; column += 1) {
    identity.push((reader.uint8() & 1) === 1)
    columns.push(reader.cstring())
    types.push(reader.uint32())
    reader.uint32()
  }
  const read = readOf(id)
  return { relid, relation: { id, columns, types, identity, isRead: columns.map((name) => read?.has(name) ?? true) } }
}

export function readTuple(reader: Reader, relation: Relation): Tuple {
  const count = reader.uint16()
  if (count !== relation.columns.length) {
    throw corrupt(`a row of ${count} columns for ${relation.id}, described with ${relation.columns.length}`)
  }
  const places: number[] = []
  for (let column = 0; column < count; column += 1) {
    const kind = reader.uint8()
    if (kind === TEXT) {
      const length = reader.uint32()
      places.push(reader.skip(length), length)
    } else if (kind === NULL) places.push(0, IS_NULL)
    else if (kind === UNCHANGED) places.push(0, isPlanted('toast-as-null') ? IS_NULL : NOT_SENT)
    else throw corrupt(`a column of unknown kind ${kind}`)
  }
  return places
}

function valueAt(reader: Reader, tuple: Tuple, column: number): string | null | undefined {
  const [start = 0, length = NOT_SENT] = [tuple[2 * column], tuple[2 * column + 1]]
  if (length === NOT_SENT) return undefined
  return length === IS_NULL ? null : reader.textAt(start, length)
}

/** `only`: the columns to take, by their place; null takes all. Columns nobody reads are left out. */
export function toRow(reader: Reader, relation: Relation, tuple: Tuple, only: readonly boolean[] | null): Row {
  const row: Record<string, string | null> = {}
  for (const [column, name] of relation.columns.entries()) {
    if (relation.isRead[column] !== true || only?.[column] === false) continue
    const value = valueAt(reader, tuple, column)
    if (value !== undefined) row[name] = value
  }
  return row
}

/** A value that was not sent is the old one. */
function isSame(reader: Reader, before: Tuple, after: Tuple, column: number): boolean {
  const length = after[2 * column + 1] ?? NOT_SENT
  if (length === NOT_SENT) return true
  if (length !== before[2 * column + 1]) return false
  return length <= 0 || reader.areSame(before[2 * column] ?? 0, after[2 * column] ?? 0, length)
}

/** The new row of an update whose whole old row is known, and what differs between them. */
export function toUpdated(
  reader: Reader,
  relation: Relation,
  old: { readonly tuple: Tuple; readonly row: Row },
  tuple: Tuple,
): { readonly after: Row; readonly changed: readonly string[] } {
  const after: Record<string, string | null> = {}
  const changed: string[] = []
  for (const [column, name] of relation.columns.entries()) {
    const isUnchanged = isSame(reader, old.tuple, tuple, column)
    if (!isUnchanged) changed.push(name)
    if (relation.isRead[column] !== true) continue
    const value = isUnchanged ? old.row[name] : valueAt(reader, tuple, column)
    if (value !== undefined) after[name] = value
  }
  return { after, changed }
}
