/**
 * What stands around a row in a record: Debezium's envelope without schemas, and our headers.
 *
 * Invariants: the bytes that do not differ between the rows of a transaction are built once and copied; our own total
 * order is in the header `rescore.position`, never only in `source`, whose `lsn` is not unique. The position's index is
 * twice the place of the change in its transaction, plus one for the second half of a key change: so the two halves
 * differ in one partition, and no later change of a table's key can shift an index.
 */
import type { ByteWriter } from './encode-bytes.ts'

export const POSITION_HEADER = 'rescore.position'
export const SYSTEM_HEADER = 'rescore.system'
export const XID_HEADER = 'rescore.xid'
/**
 * JSON `{"before"?: [column…], "after"?: [column…], "omitted"?: [column…]}`: columns whose value the record does not hold;
 * an update may have changed those omitted, which were too large (publish-smaller.ts), and has not touched the others.
 */
export const COLUMNS_HEADER = 'rescore.columns'
/** Debezium's word in the place of such a value. */
export const UNAVAILABLE = '__debezium_unavailable_value'
export const BARRIER_HEADER = 'rescore.barrier'
export const NEW_KEY_HEADER = '__debezium.newkey'
export const OLD_KEY_HEADER = '__debezium.oldkey'

export type EnvelopeOp = 'c' | 'u' | 'd' | 't'

/** The transaction whose rows are being written. */
export interface EnvelopeTransaction {
  readonly xid: number
  readonly commitLsn: bigint
  /** Commit time, microseconds since 1970. */
  readonly committedMicros: bigint
  /** End of the commit before it in the stream; null for the first of a connection. */
  readonly previousEndLsn: bigint | null
}

export interface EnvelopeSource {
  /** Name of the topics: `source.name`. */
  readonly prefix: string
  readonly database: string
  /** System identifier of the database cluster. */
  readonly system: string
  /** Version of the program that captures. */
  readonly version: string
}

/** Zigzag, as Kafka's records count. */
export function writeVarint(out: ByteWriter, value: number): void {
  let left = ((value << 1) ^ (value >> 31)) >>> 0
  out.reserve(5)
  while (left > 0x7f) {
    out.bytes[out.at] = (left & 0x7f) | 0x80
    out.at += 1
    left >>>= 7
  }
  out.bytes[out.at] = left
  out.at += 1
}

/** One header as it stands in a record. */
export function writeHeader(out: ByteWriter, name: string, value: Uint8Array): void {
  writeVarint(out, name.length)
  out.ascii(name)
  writeVarint(out, value.length)
  out.raw(value)
}

/** LSN of a change as two halves; decimal in the envelope. */
export function writeLsn(out: ByteWriter, high: number, low: number): void {
  // Exact as a double up to 8 PiB of write-ahead log.
  if (high < 0x200000) out.integer(high * 0x1_0000_0000 + low)
  else out.ascii(String((BigInt(high) << 32n) | BigInt(low)))
}

/** The bytes of `source` before, between and behind the two places where the change's own LSN stands. */
export function sourceParts(
  source: EnvelopeSource,
  table: { readonly schema: string; readonly name: string },
  transaction: EnvelopeTransaction,
): readonly [Buffer, Buffer, Buffer] {
  const { committedMicros: micros, previousEndLsn } = transaction
  const quote = JSON.stringify
  const head =
    `,"source":{"version":${quote(source.version)},"connector":"postgresql","name":${quote(source.prefix)}` +
    `,"ts_ms":${micros / 1000n},"snapshot":"false","db":${quote(source.database)}` +
    `,"sequence":"[${previousEndLsn === null ? 'null' : `\\"${previousEndLsn}\\"`},\\"`
  const middle =
    `\\"]","ts_us":${micros},"ts_ns":${micros * 1000n},"schema":${quote(table.schema)},"table":${quote(table.name)}` +
    `,"txId":${transaction.xid},"lsn":`
  return [Buffer.from(head), Buffer.from(middle), Buffer.from(',"xmin":null,"origin":null,"origin_lsn":null}')]
}

/** Everything behind `source`: the operation and when it was written; kept for the millisecond it was made in. */
export class EnvelopeTail {
  #ms = 0
  readonly #tails = new Map<EnvelopeOp, Buffer>()

  get(op: EnvelopeOp, nowMs: number): Buffer {
    if (nowMs !== this.#ms) {
      this.#tails.clear()
      this.#ms = nowMs
    }
    const known = this.#tails.get(op)
    if (known !== undefined) return known
    const made = Buffer.from(
      `,"transaction":null,"op":"${op}","ts_ms":${nowMs},"ts_us":${nowMs}000,"ts_ns":${nowMs}000000}`,
    )
    this.#tails.set(op, made)
    return made
  }
}

/** The headers every record of a transaction carries, but for the index. */
export class TransactionHeaders {
  readonly #fixed: Buffer
  readonly #position: Buffer

  constructor(system: Buffer, { xid, commitLsn }: EnvelopeTransaction, scratch: ByteWriter) {
    scratch.reset()
    writeHeader(scratch, SYSTEM_HEADER, system)
    writeHeader(scratch, XID_HEADER, Buffer.from(String(xid)))
    this.#fixed = Buffer.from(scratch.bytes.subarray(0, scratch.at))
    this.#position = Buffer.from(`${commitLsn.toString(16).padStart(16, '0')}/`)
  }

  /** @param more further headers that will be written behind */
  write(out: ByteWriter, index: number, more: number): void {
    writeVarint(out, 3 + more)
    writeVarint(out, POSITION_HEADER.length)
    out.raw(POSITION_NAME)
    let digits = 1
    for (let limit = 10; index >= limit; limit *= 10) digits += 1
    writeVarint(out, this.#position.length + digits)
    out.raw(this.#position)
    out.padded(index, digits)
    out.raw(this.#fixed)
  }
}

const POSITION_NAME = Buffer.from(POSITION_HEADER)

/** The position in headers as `TransactionHeaders` writes them; null when there is none. */
export function readPositionHeader(headers: Buffer): { readonly lsn: bigint; readonly index: number } | null {
  const at = headers.indexOf(POSITION_NAME)
  if (at < 0) return null
  const match = /^([0-9a-f]{16})\/(\d+)/.exec(headers.toString('latin1', at + POSITION_NAME.length + 1, at + 60))
  return match === null ? null : { lsn: BigInt(`0x${match[1]}`), index: Number(match[2]) }
}
