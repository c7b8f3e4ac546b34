/**
 * From the bytes of a pgoutput row message to the bytes of a Kafka record: one encoder per relation, no JavaScript object
 * per row.
 *
 * Invariants: called in the tick the message arrives and keeps no view of it; null stands in the envelope as null, a
 * value the stream did not carry as Debezium's placeholder and by name in the header `rescore.columns`; key and value go
 * through the same copiers, so a key is equal exactly when the columns are.
 */
import { ByteWriter } from './encode-bytes.ts'
import { corruptMessage } from './encode-error.ts'
import { NULL_VALUE, TuplePlaces, UNCHANGED_VALUE } from './encode-tuple.ts'
import { type ColumnCodec, columnCodec, type EncodedRelation, type EncodeTypes } from './encode-types.ts'
import {
  type EnvelopeOp,
  type EnvelopeSource,
  EnvelopeTail,
  type EnvelopeTransaction,
  sourceParts,
  writeLsn,
} from './envelope.ts'

/** What one row message became; `value`, `key` and `oldKey` of the encoder hold the bytes. */
export type RowKind = 'create' | 'update' | 'delete' | 'rekey'

const OLD = 0x4f
const KEY = 0x4b
const NEW = 0x4e
const INSERT = 0x49
const DELETE = 0x44

const BEFORE_NULL = Buffer.from('{"before":null,"after":')
const BEFORE = Buffer.from('{"before":')
const AFTER = Buffer.from(',"after":')
const AFTER_NULL = Buffer.from(',"after":null')
const NULL = Buffer.from('null')

interface Column extends ColumnCodec {
  /** `{"name":` for the first, `,"name":` for the others. */
  readonly prefix: Buffer
  readonly name: string
}

const named = (name: string, place: number) => Buffer.from(`${place === 0 ? '{' : ','}${JSON.stringify(name)}:`)

export class RowEncoder {
  readonly relation: EncodedRelation
  /** The record's value; for a key change, that of the delete half. */
  readonly value = new ByteWriter()
  /** For a key change, the value of the create half. */
  readonly created = new ByteWriter()
  /** Key of the row as it is now, or was when deleted. */
  readonly key = new ByteWriter()
  readonly oldKey = new ByteWriter()
  /** JSON of `rescore.columns` for the record written last; null when every value was in the stream. */
  unknownColumns: Buffer | null = null
  readonly #source: EnvelopeSource
  readonly #tail: EnvelopeTail
  readonly #columns: readonly Column[]
  readonly #identity: readonly boolean[]
  readonly #keyPlaces: readonly number[]
  readonly #keyPrefixes: readonly Buffer[]
  readonly #old: TuplePlaces
  readonly #new: TuplePlaces
  #transaction: EnvelopeTransaction | null = null
  #parts: readonly [Buffer, Buffer, Buffer] = [NULL, NULL, NULL]

  constructor(relation: EncodedRelation, source: EnvelopeSource, types: EncodeTypes, tail = new EnvelopeTail()) {
    this.relation = relation
    this.#source = source
    this.#tail = tail
    this.#columns = relation.columns.map(({ name, oid, typmod, elementOid }, place) => ({
      name,
      prefix: named(name, place),
      ...columnCodec(oid, typmod, types, elementOid),
    }))
    this.#identity = relation.columns.map(({ isIdentity }) => isIdentity)
    const names = relation.columns.map(({ name }) => name)
    this.#keyPlaces = relation.key.map((name) => names.indexOf(name)).filter((place) => place >= 0)
    this.#keyPrefixes = this.#keyPlaces.map((place, index) => named(names[place] ?? '', index))
    this.#old = new TuplePlaces(names.length)
    this.#new = new TuplePlaces(names.length)
  }

  get hasKey(): boolean {
    return this.#keyPlaces.length > 0
  }

  /** Encodes an I, U or D message of this relation; the change's LSN comes in two halves. */
  row(message: Buffer, transaction: EnvelopeTransaction, high: number, low: number, nowMs: number): RowKind {
    this.#enter(transaction)
    this.unknownColumns = null
    const kind = message[0]
    // Kind and relation come first.
    let at = 5
    let marker = message[at]
    if (kind === INSERT) {
      if (marker !== NEW) throw corruptMessage('an insert without its row')
      this.#end(message, this.#new.read(message, at + 1))
      this.#writeKey(this.key, message, this.#new)
      this.#writeValue(this.value, message, null, this.#new, 'c', high, low, nowMs)
      return 'create'
    }
    const hasOld = marker === OLD || marker === KEY
    if (hasOld) {
      at = this.#old.read(message, at + 1)
      if (marker === KEY) this.#old.keepOnly(this.#identity)
      marker = message[at]
    }
    if (kind === DELETE) {
      if (!hasOld) throw corruptMessage('a delete without its key')
      this.#end(message, at)
      this.#writeKey(this.key, message, this.#old)
      this.#writeValue(this.value, message, this.#old, null, 'd', high, low, nowMs)
      this.#noteUnknown(this.#old, null)
      return 'delete'
    }
    if (marker !== NEW) throw corruptMessage('an update without its new row')
    this.#end(message, this.#new.read(message, at + 1))
    if (hasOld && this.#new.isPartial) this.#new.fillFrom(this.#old)
    this.#writeKey(this.key, message, this.#new)
    if (hasOld && this.#isRekeyed(message)) {
      this.#writeValue(this.value, message, this.#old, null, 'd', high, low, nowMs)
      this.#writeValue(this.created, message, null, this.#new, 'c', high, low, nowMs)
      this.#noteUnknown(this.#old, this.#new)
      return 'rekey'
    }
    this.#writeValue(this.value, message, hasOld ? this.#old : null, this.#new, 'u', high, low, nowMs)
    this.#noteUnknown(hasOld ? this.#old : null, this.#new)
    return 'update'
  }

  truncate(transaction: EnvelopeTransaction, high: number, low: number, nowMs: number): void {
    this.#enter(transaction)
    this.unknownColumns = null
    this.value.reset()
    this.value.raw(BEFORE_NULL)
    this.value.raw(NULL)
    this.#writeTail(this.value, 't', high, low, nowMs)
  }

  #enter(transaction: EnvelopeTransaction): void {
    if (transaction === this.#transaction) return
    this.#transaction = transaction
    this.#parts = sourceParts(this.#source, this.relation, transaction)
  }

  /** Every message is known to its last byte: more means that we misread it. */
  #end(message: Buffer, at: number): void {
    if (at !== message.length) throw corruptMessage(`${message.length - at} bytes too many in a message`)
  }

  #writeKey(out: ByteWriter, message: Buffer, tuple: TuplePlaces): void {
    out.reset()
    const places = this.#keyPlaces
    if (places.length === 0) return
    for (let index = 0; index < places.length; index += 1) {
      this.#writeColumn(out, message, tuple, places[index] ?? 0, this.#keyPrefixes[index] ?? NULL)
    }
    out.byte(0x7d)
  }

  #isRekeyed(message: Buffer): boolean {
    for (const place of this.#keyPlaces) {
      // Not in the old tuple: then it is not part of the identity, and nothing is known to have changed.
      if ((this.#old.ends[place] ?? 0) < 0) return false
    }
    this.#writeKey(this.oldKey, message, this.#old)
    const { key, oldKey } = this
    return oldKey.at !== key.at || oldKey.bytes.compare(key.bytes, 0, key.at, 0, oldKey.at) !== 0
  }

  #writeValue(
    out: ByteWriter,
    message: Buffer,
    before: TuplePlaces | null,
    after: TuplePlaces | null,
    op: EnvelopeOp,
    high: number,
    low: number,
    nowMs: number,
  ): void {
    out.reset()
    if (before === null) out.raw(BEFORE_NULL)
    else {
      out.raw(BEFORE)
      this.#writeRow(out, message, before)
      out.raw(after === null ? AFTER_NULL : AFTER)
    }
    if (after !== null) this.#writeRow(out, message, after)
    this.#writeTail(out, op, high, low, nowMs)
  }

  #writeRow(out: ByteWriter, message: Buffer, tuple: TuplePlaces): void {
    const columns = this.#columns
    for (let place = 0; place < columns.length; place += 1) {
      const column = columns[place]
      if (column !== undefined) this.#writeColumn(out, message, tuple, place, column.prefix)
    }
    if (columns.length === 0) out.byte(0x7b)
    out.byte(0x7d)
  }

  #writeColumn(out: ByteWriter, message: Buffer, tuple: TuplePlaces, place: number, prefix: Buffer): void {
    out.raw(prefix)
    const end = tuple.ends[place] ?? NULL_VALUE
    const column = this.#columns[place]
    if (column === undefined) return
    if (end >= 0) column.copy(out, message, tuple.starts[place] ?? 0, end)
    else out.raw(end === UNCHANGED_VALUE ? column.unavailable : NULL)
  }

  #writeTail(out: ByteWriter, op: EnvelopeOp, high: number, low: number, nowMs: number): void {
    const [head, middle, end] = this.#parts
    out.raw(head)
    const start = out.at
    writeLsn(out, high, low)
    const stop = out.at
    out.raw(middle)
    out.raw(out.bytes, start, stop)
    out.raw(end)
    out.raw(this.#tail.get(op, nowMs))
  }

  #noteUnknown(before: TuplePlaces | null, after: TuplePlaces | null): void {
    if (before?.isPartial !== true && after?.isPartial !== true) return
    const namesOf = (tuple: TuplePlaces) =>
      this.#columns.filter((_, place) => (tuple.ends[place] ?? 0) < NULL_VALUE).map(({ name }) => name)
    this.unknownColumns = Buffer.from(
      JSON.stringify({
        ...(before?.isPartial === true ? { before: namesOf(before) } : {}),
        ...(after?.isPartial === true ? { after: namesOf(after) } : {}),
      }),
    )
  }
}
