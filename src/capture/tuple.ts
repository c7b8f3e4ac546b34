/**
 * Rows as the stream carries them: the table as it was last described, and the values of one tuple.
 *
 * Invariant: a value that is not in the stream is left out, never turned into null. Two things are not in the stream: a
 * TOASTed value the update did not touch, and whatever a key-only tuple has no room for.
 */
import { isPlanted } from '../faults.ts'
import type { Row } from '../log/log.ts'
import { corrupt } from './corrupt.ts'
import type { Reader } from './reader.ts'

export interface Relation {
  /** `schema.name` */
  readonly id: string
  readonly columns: readonly string[]
  /** Part of the replica identity, by column. */
  readonly identity: readonly boolean[]
}

/** Column values of one tuple, in the order of the relation; undefined: not in the stream. */
export type Tuple = readonly (string | null | undefined)[]

const TEXT = 0x74
const NULL = 0x6e
const UNCHANGED = 0x75

export function readRelation(reader: Reader): { relid: number; relation: Relation } {
  const relid = reader.uint32()
  const id = `${reader.cstring()}.${reader.cstring()}`
  reader.uint8()
  const count = reader.uint16()
  const columns: string[] = []
  const identity: boolean[] = []
  for (let column = 0; column < count; column += 1) {
    identity.push((reader.uint8() & 1) === 1)
    columns.push(reader.cstring())
    reader.uint32()
    reader.uint32()
  }
  return { relid, relation: { id, columns, identity } }
}

export function readTuple(reader: Reader, relation: Relation): Tuple {
  const count = reader.uint16()
  if (count !== relation.columns.length) {
    throw corrupt(`a row of ${count} columns for ${relation.id}, described with ${relation.columns.length}`)
  }
  const values: (string | null | undefined)[] = []
  for (let column = 0; column < count; column += 1) {
    const kind = reader.uint8()
    if (kind === TEXT) values.push(reader.text(reader.uint32()))
    else if (kind === NULL) values.push(null)
    else if (kind === UNCHANGED) values.push(isPlanted('toast-as-null') ? null : undefined)
    else throw corrupt(`a column of unknown kind ${kind}`)
  }
  return values
}

/** `only`: the columns to take, by their place; null takes all. */
export function toRow(relation: Relation, tuple: Tuple, only: readonly boolean[] | null): Row {
  const row: Record<string, string | null> = {}
  for (let column = 0; column < relation.columns.length; column += 1) {
    const name = relation.columns[column]
    const value = tuple[column]
    if (name === undefined || value === undefined || only?.[column] === false) continue
    row[name] = value
  }
  return row
}

/** Unchanged TOASTed values of the new tuple, taken over from the whole old one. */
export function fillUnchanged(after: Tuple, before: Tuple): Tuple {
  return after.includes(undefined)
    ? after.map((value, column) => (value === undefined ? before[column] : value))
    : after
}

export function changedColumns(relation: Relation, before: Tuple, after: Tuple): readonly string[] {
  return relation.columns.filter((_, column) => before[column] !== after[column])
}
