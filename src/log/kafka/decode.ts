/**
 * From a record of a topic to a change: Debezium's envelope, ours or a real Debezium's, and our headers.
 *
 * Invariants: only declared columns come out, and only with values that are exactly PostgreSQL's text; what differs is
 * found over all columns, on the JSON values. What cannot be understood is an error of fate `dead-letter` that names the
 * reason and never the contents. Pure.
 */
import { isRescoreError, RescoreError } from '../../errors.ts'
import type { Barrier, Change, Entry, Row } from '../log.ts'
import { BARRIER_PREFIX } from '../log.ts'
import type { Position } from '../position.ts'
import { postgresText } from './decode-value.ts'
import { BARRIER_HEADER, COLUMNS_HEADER, POSITION_HEADER, UNAVAILABLE, XID_HEADER } from './envelope.ts'

/** As kafkajs hands it over. */
export interface KafkaRecord {
  readonly offset: bigint
  /** Milliseconds since 1970. */
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** Kind of a declared column (src/define/column.ts) of the table `schema.name`; undefined: nobody reads it. */
export type KindOf = (table: string, column: string) => string | undefined

export function undecodable(reason: string, cause?: unknown): RescoreError {
  return new RescoreError({
    code: 'LOG_RECORD',
    fate: 'dead-letter',
    message: `A record cannot be understood: ${reason}.`,
    mend: 'It is kept in rescore.dead_letter. If it was a change, the next change of the same row mends what it would have.',
    cause,
  })
}

const POSITION = /^([0-9a-fA-F]{16})\/(\d{1,10})$/

/** Our own total order; null for records that another program wrote. @throws RescoreError LOG_RECORD */
export function positionOf({ headers }: KafkaRecord): Position | null {
  const text = headers[POSITION_HEADER]
  if (text === undefined) return null
  const parts = POSITION.exec(text)
  if (parts === null) throw undecodable(`its header ${POSITION_HEADER} is no position`)
  return { lsn: BigInt(`0x${parts[1]}`), index: Number(parts[2]) }
}

/** LSN of the change itself, for records of another program: before its commit, so it may be vouched for. 0: none. */
export function sourceLsn({ value }: KafkaRecord): bigint {
  if (value === null) return 0n
  const from = value.lastIndexOf('"source":{')
  const [, lsn] = from < 0 ? [] : (/"lsn":(\d{1,20})[,}]/.exec(value.toString('utf8', from)) ?? [])
  return lsn === undefined ? 0n : BigInt(lsn)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whole numbers beyond 2^53 as their digits: two that differ must not become one. */
function exactly(_: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value) || context?.source === undefined) return value
  return /^-?\d+$/.test(context.source) ? context.source : value
}

function parse(value: Buffer): Readonly<Record<string, unknown>> {
  const text = value.toString('utf8')
  // Behind the rows come our nanoseconds, which are long and never needed exactly. Nothing inside a row looks like this:
  // quotes in values are escaped.
  const rows = text.slice(0, text.lastIndexOf('"source":{'))
  let parsed: unknown
  try {
    parsed = /\d{16}/.test(rows) ? JSON.parse(text, exactly) : JSON.parse(text)
  } catch (error) {
    throw undecodable('its value is not JSON', error)
  }
  if (!isObject(parsed)) throw undecodable('its value is not an envelope')
  // A converter with schemas on wraps the envelope.
  const envelope = isObject(parsed.schema) && isObject(parsed.payload) ? parsed.payload : parsed
  if (typeof envelope.op !== 'string' || !isObject(envelope.source)) throw undecodable('its value is not an envelope')
  return envelope
}

const UNAVAILABLE_BYTES = Buffer.from(UNAVAILABLE).toString('base64')

/** Stands for a TOASTed value that the update did not touch. */
function isUnavailable(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 1 && value[0] === UNAVAILABLE
  return value === UNAVAILABLE || value === UNAVAILABLE_BYTES
}

function isSame(a: unknown, b: unknown): boolean {
  if (a === b) return true
  return typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b)
}

interface Image {
  readonly row: Readonly<Record<string, unknown>>
  /** Columns the record does not hold. */
  readonly unknown: ReadonlySet<string>
  /** Those of them that were too large, so that the change may have touched them. */
  readonly omitted: ReadonlySet<string>
}

function columnsNamed(headers: KafkaRecord['headers'], side: 'before' | 'after' | 'omitted'): ReadonlySet<string> {
  const text = headers[COLUMNS_HEADER]
  if (text === undefined) return new Set()
  try {
    const named: unknown = JSON.parse(text)
    const list: unknown = isObject(named) ? named[side] : undefined
    return new Set(Array.isArray(list) ? list.filter((name) => typeof name === 'string') : [])
  } catch (error) {
    throw undecodable(`its header ${COLUMNS_HEADER} is not JSON`, error)
  }
}

function imageOf(value: unknown, record: KafkaRecord, side: 'before' | 'after'): Image | null {
  if (!isObject(value)) return null
  const { headers } = record
  return { row: value, unknown: columnsNamed(headers, side), omitted: columnsNamed(headers, 'omitted') }
}

function isKnown({ row, unknown }: Image, column: string): boolean {
  return column in row && !unknown.has(column) && !isUnavailable(row[column])
}

function textsOf(image: Image | null, table: string, kindOf: KindOf): Row | null {
  if (image === null) return null
  const texts: Record<string, string | null> = {}
  for (const [column, value] of Object.entries(image.row)) {
    const kind = kindOf(table, column)
    if (kind === undefined || !isKnown(image, column)) continue
    const text = postgresText(kind, value)
    if (text !== undefined) texts[column] = text
  }
  return texts
}

function changedColumns(before: Image | null, after: Image | null): readonly string[] | null {
  if (before === null || after === null) return null
  return Object.keys(after.row).filter((column) => {
    // Not touched by the update: that much is known.
    if (isUnavailable(after.row[column]) && !after.omitted.has(column)) return false
    return !isKnown(before, column) || !isKnown(after, column) || !isSame(before.row[column], after.row[column])
  })
}

/** Its transaction is the one that takes the snapshot, open until the end of it: not that of the row, which is older. */
const SNAPSHOT = 'r'

/** The 32 bits that visibility is told by; 0 counts as committed long ago. */
function xidOf(txId: unknown): number {
  return typeof txId === 'number' ? txId % 2 ** 32 : 0
}

const OPERATIONS: Readonly<Record<string, Change['op']>> = {
  c: 'insert',
  [SNAPSHOT]: 'insert',
  u: 'update',
  d: 'delete',
  t: 'truncate',
}

function committedMs({ ts_us: micros, ts_ms: millis }: Readonly<Record<string, unknown>>, record: KafkaRecord): number {
  // 16 digits: exact as a double until the year 2255.
  if (typeof micros === 'number' || typeof micros === 'string') return Number(micros) / 1_000
  return typeof millis === 'number' ? millis : record.timestampMs
}

function barrierOf(record: KafkaRecord, position: Position, xid: number): Barrier | null {
  const content = record.headers[BARRIER_HEADER]
  if (content === undefined) return null
  const committedAtMs = record.timestampMs
  return { kind: 'barrier', position, xid, committedAtMs, prefix: BARRIER_PREFIX, content }
}

/** Null for what says nothing: a tombstone. @throws RescoreError LOG_RECORD, of fate `dead-letter` */
export function decodeRecord(record: KafkaRecord, position: Position, kindOf: KindOf): Entry | null {
  const written = record.headers[XID_HEADER]
  if (written !== undefined && !/^\d{1,10}$/.test(written)) throw undecodable(`its header ${XID_HEADER} is no number`)
  const barrier = barrierOf(record, position, Number(written ?? 0))
  if (barrier !== null) return barrier
  if (record.value === null || record.value.length === 0) return null
  try {
    return changeOf(parse(record.value), record, position, kindOf)
  } catch (error) {
    throw isRescoreError(error) ? error : undecodable('decoding it failed', error)
  }
}

function changeOf(
  envelope: Readonly<Record<string, unknown>>,
  record: KafkaRecord,
  position: Position,
  kindOf: KindOf,
): Change {
  const source = isObject(envelope.source) ? envelope.source : {}
  const op = OPERATIONS[String(envelope.op)]
  if (op === undefined) throw undecodable('its operation is not known')
  const { schema, table: name, txId } = source
  if (typeof schema !== 'string' || typeof name !== 'string') throw undecodable('it names no table')
  const table = `${schema}.${name}`
  const [before, after] = [imageOf(envelope.before, record, 'before'), imageOf(envelope.after, record, 'after')]
  if (op !== 'truncate' && before === null && after === null) throw undecodable('it holds no row')
  return {
    kind: 'change',
    position,
    xid: Number(record.headers[XID_HEADER] ?? (envelope.op === SNAPSHOT ? 0 : xidOf(txId))),
    committedAtMs: committedMs(source, record),
    table,
    op,
    before: textsOf(before, table, kindOf),
    after: textsOf(after, table, kindOf),
    changed: op === 'update' ? changedColumns(before, after) : null,
  }
}
