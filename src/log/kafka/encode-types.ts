/**
 * How a PostgreSQL value in its text form becomes JSON, by type: one copier per column, chosen once per relation.
 *
 * Invariants: the JSON is what Debezium writes with schemas off, but for the differences docs/kafka.md lists; a type not
 * known here goes as a string of PostgreSQL's text, never dropped. Copiers read the message in place and keep nothing.
 */
import type { ByteWriter } from './encode-bytes.ts'
import { copyInterval, copyIntervalIso } from './encode-interval.ts'
import { copyDouble, copyMoney, copyNumericString, preciseCopier } from './encode-numeric.ts'
import { copyArray, copyBits, copyBytes, copyPoint } from './encode-structured.ts'
import {
  copyDate,
  copyDateIso,
  copyTime,
  copyTimeIso,
  copyTimestamp,
  copyTimestampIso,
  copyTimestampTz,
  copyTimeTz,
} from './encode-time.ts'
import { UNAVAILABLE } from './envelope.ts'

/** Writes the value at [from, to) of the message as JSON. */
export type Copier = (out: ByteWriter, source: Buffer, from: number, to: number) => void

export interface EncodeTypes {
  /** numeric: text as PostgreSQL prints it, Debezium's bytes, or a JSON number that may lose digits. */
  readonly decimal: 'string' | 'precise' | 'double'
  /** Debezium's defaults (microseconds, days; milliseconds where the precision is 3 or less), or ISO 8601 text. */
  readonly time: 'adaptive' | 'iso'
}

export const DEFAULT_TYPES: EncodeTypes = { decimal: 'string', time: 'adaptive' }

export interface ColumnCodec {
  readonly copy: Copier
  /** What stands for a TOASTed value that the update did not touch. */
  readonly unavailable: Buffer
}

export const copyRaw: Copier = (out, source, from, to) => out.raw(source, from, to)

export const copyText: Copier = (out, source, from, to) => {
  out.byte(0x22)
  out.escaped(source, from, to)
  out.byte(0x22)
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const copyBoolean: Copier = (out, source, from) => out.raw(source[from] === 0x74 ? TRUE : FALSE)

const BOOL = 16
const BYTEA = 17
const POINT = 600
const MONEY = 790
const DATE = 1082
const TIME = 1083
const TIMESTAMP = 1114
const TIMESTAMPTZ = 1184
const INTERVAL = 1186
const TIMETZ = 1266
const BIT = 1560
const VARBIT = 1562
const NUMERIC = 1700
/** int8, int2, int4, oid */
const INTEGERS = new Set([20, 21, 23, 26])
const FLOATS = new Set([700, 701])

/** Element type of the array types built in. */
const ELEMENTS: ReadonlyMap<number, number> = new Map([
  [1000, BOOL],
  [1001, BYTEA],
  [1002, 18],
  [1003, 19],
  [1005, 21],
  [1007, 23],
  [1009, 25],
  [1014, 1042],
  [1015, 1043],
  [1016, 20],
  [1017, POINT],
  [1021, 700],
  [1022, 701],
  [1028, 26],
  [1041, 869],
  [1115, TIMESTAMP],
  [1182, DATE],
  [1183, TIME],
  [1185, TIMESTAMPTZ],
  [1187, INTERVAL],
  [1231, NUMERIC],
  [1270, TIMETZ],
  [199, 114],
  [2951, 2950],
  [3807, 3802],
  [791, MONEY],
])

/** Digits of a second that the column keeps; -1: not declared, which means 6. */
const isMillis = (typmod: number) => typmod >= 0 && typmod <= 3

function copierOf(oid: number, typmod: number, types: EncodeTypes): Copier {
  const isIso = types.time === 'iso'
  if (INTEGERS.has(oid)) return copyRaw
  if (FLOATS.has(oid)) return copyDouble
  switch (oid) {
    case BOOL:
      return copyBoolean
    case NUMERIC:
      if (types.decimal === 'string') return copyNumericString
      return types.decimal === 'double' ? copyDouble : preciseCopier(typmod)
    case MONEY:
      return copyMoney(types.decimal)
    case DATE:
      return isIso ? copyDateIso : copyDate
    case TIME:
      return isIso ? copyTimeIso : copyTime(isMillis(typmod))
    case TIMETZ:
      return copyTimeTz
    case TIMESTAMP:
      return isIso ? copyTimestampIso : copyTimestamp(isMillis(typmod))
    case TIMESTAMPTZ:
      return copyTimestampTz(typmod)
    case INTERVAL:
      return isIso ? copyIntervalIso : copyInterval
    case BYTEA:
      return copyBytes
    case POINT:
      return copyPoint
    case BIT:
    case VARBIT:
      return copyBits(oid === BIT && typmod === 1)
    default:
      return copyText
  }
}

/**
 * @param oid the type, domains already resolved to what they are over
 * @param elementOid of an array type that is not built in; 0 for all others
 */
export function columnCodec(oid: number, typmod: number, types: EncodeTypes, elementOid = 0): ColumnCodec {
  const element = ELEMENTS.get(oid) ?? elementOid
  if (element !== 0) {
    return {
      copy: copyArray(copierOf(element, typmod, types)),
      unavailable: Buffer.from(JSON.stringify([UNAVAILABLE])),
    }
  }
  const placeholder = oid === BYTEA ? Buffer.from(UNAVAILABLE).toString('base64') : UNAVAILABLE
  return { copy: copierOf(oid, typmod, types), unavailable: Buffer.from(JSON.stringify(placeholder)) }
}

export interface RelationColumn {
  readonly name: string
  /** Type, domains resolved to what they are over. */
  readonly oid: number
  readonly typmod: number
  /** Element type where `oid` is an array type that is not built in; else 0. */
  readonly elementOid: number
  readonly isIdentity: boolean
}

export interface EncodedRelation {
  readonly schema: string
  readonly name: string
  readonly columns: readonly RelationColumn[]
  /** Columns of the record's key, in the order of the primary key; empty: records have no key. */
  readonly key: readonly string[]
}
