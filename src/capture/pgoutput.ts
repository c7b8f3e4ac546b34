/**
 * Decodes pgoutput, protocol version 1, into changes.
 *
 * Invariants: every value is copied out of the buffer in the same call, because the driver reuses it; the index counts
 * every row and transactional message of a transaction, before any filter, so a change of configuration never shifts a
 * position; whatever the bytes, decoding either yields what they say or throws CAPTURE_DECODE. Holds no state that
 * outlives its connection: the server describes each table again on a new one.
 */
import { isRescoreError } from '../errors.ts'
import type { ValueColumns } from '../graph/value-columns.ts'
import type { Change, Entry } from '../log/log.ts'
import { corrupt } from './corrupt.ts'
import { Reader } from './reader.ts'
import { type Relation, readRelation, readTuple, toRow, toUpdated } from './tuple.ts'

interface OpenTransaction {
  readonly lsn: bigint
  readonly xid: number
  readonly committedAtMs: number
  nextIndex: number
}

/** What one message of the stream means. */
export type Decoded =
  | { readonly kind: 'entries'; readonly entries: readonly Entry[]; readonly bytes: number }
  /** A table as its rows are from here on. */
  | { readonly kind: 'relation'; readonly relation: Relation }
  | { readonly kind: 'begin' }
  | { readonly kind: 'commit'; readonly lsn: bigint; readonly endLsn: bigint; readonly committedAtMs: number }
  | { readonly kind: 'none' }

const NONE: Decoded = { kind: 'none' }
/** Memory of an entry beside its values, of a name in `changed`, and of a byte copied out; measured, rounded up. */
const ENTRY_BYTES = 400
const MEMORY_PER_NAME = 16
const MEMORY_PER_BYTE = 3

const [OLD, KEY, NEW] = [0x4f, 0x4b, 0x4e]

export class PgoutputDecoder {
  readonly #relations = new Map<number, Relation>()
  readonly #values: ValueColumns
  #transaction: OpenTransaction | null = null

  /** @param values the columns whose values are decoded, by table; a table that is not in it is decoded whole */
  constructor(values: ValueColumns = new Map()) {
    this.#values = values
  }

  /** Between the beginning and the commit of a transaction. */
  get isInTransaction(): boolean {
    return this.#transaction !== null
  }

  /** @throws RescoreError CAPTURE_DECODE when the message is not what the protocol says */
  decode(message: Buffer): Decoded {
    try {
      return this.#decode(message)
    } catch (error) {
      if (isRescoreError(error)) throw error
      throw corrupt('a message shorter than it says', error)
    }
  }

  #decode(message: Buffer): Decoded {
    const reader = new Reader(message)
    switch (String.fromCharCode(message[0] ?? 0)) {
      case 'I':
      case 'U':
      case 'D': {
        const change = this.#rowChange(reader, message[0])
        reader.end()
        const bytes = ENTRY_BYTES + MEMORY_PER_NAME * (change.changed?.length ?? 0) + MEMORY_PER_BYTE * reader.copied
        return { kind: 'entries', entries: [change], bytes }
      }
      case 'B':
        return this.#begin(reader)
      case 'C':
        return this.#commit(reader)
      case 'R': {
        const { relid, relation } = readRelation(reader, (table) => this.#values.get(table))
        reader.end()
        this.#relations.set(relid, relation)
        return { kind: 'relation', relation }
      }
      case 'T':
        return this.#truncate(reader)
      case 'M':
        return this.#message(reader)
      // The replication origin of a transaction, and the names of types: nothing depends on either.
      case 'O':
      case 'Y':
        return NONE
      default:
        throw corrupt(`a message of unknown kind ${message[0]}`)
    }
  }

  #begin(reader: Reader): Decoded {
    if (this.#transaction !== null) throw corrupt('a transaction inside another')
    const transaction = { lsn: reader.uint64(), committedAtMs: reader.timeMs(), xid: reader.uint32(), nextIndex: 0 }
    reader.end()
    this.#transaction = transaction
    return { kind: 'begin' }
  }

  #commit(reader: Reader): Decoded {
    reader.uint8()
    const commit = { lsn: reader.uint64(), endLsn: reader.uint64(), committedAtMs: reader.timeMs() }
    reader.end()
    if (this.#open().lsn !== commit.lsn || commit.endLsn <= commit.lsn) throw corrupt('a commit of another transaction')
    this.#transaction = null
    return { kind: 'commit', ...commit }
  }

  #relation(relid: number): Relation {
    const relation = this.#relations.get(relid)
    if (relation === undefined) throw corrupt(`a row of table ${relid}, which it did not describe`)
    return relation
  }

  #open(): OpenTransaction {
    if (this.#transaction === null) throw corrupt('a change outside any transaction')
    return this.#transaction
  }

  #head(transaction: OpenTransaction): Pick<Change, 'position' | 'xid' | 'committedAtMs'> {
    const position = { lsn: transaction.lsn, index: transaction.nextIndex }
    transaction.nextIndex += 1
    return { position, xid: transaction.xid, committedAtMs: transaction.committedAtMs }
  }

  #rowChange(reader: Reader, kind: number | undefined): Change {
    const head = this.#head(this.#open())
    const relation = this.#relation(reader.uint32())
    const common = { kind: 'change', ...head, table: relation.id } as const
    let marker = reader.uint8()
    if (kind === 0x49) {
      if (marker !== NEW) throw corrupt('an insert without its row')
      const after = toRow(reader, relation, readTuple(reader, relation), null)
      return { ...common, op: 'insert', before: null, after, changed: null }
    }
    const isWhole = marker === OLD
    const old = isWhole || marker === KEY ? readTuple(reader, relation) : null
    // In a key-only tuple null means "not part of the key", so only the identity columns are known.
    const before = old === null ? null : toRow(reader, relation, old, isWhole ? null : relation.identity)
    if (kind === 0x44) {
      if (before === null) throw corrupt('a delete without its key')
      return { ...common, op: 'delete', before, after: null, changed: null }
    }
    if (old !== null) marker = reader.uint8()
    if (marker !== NEW) throw corrupt('an update without its new row')
    const received = readTuple(reader, relation)
    if (old === null || before === null || !isWhole) {
      return { ...common, op: 'update', before, after: toRow(reader, relation, received, null), changed: null }
    }
    const updated = toUpdated(reader, relation, { tuple: old, row: before }, received)
    return { ...common, op: 'update', before, ...updated }
  }

  #truncate(reader: Reader): Decoded {
    const transaction = this.#open()
    const count = reader.uint32()
    reader.uint8()
    const entries: Entry[] = []
    for (let each = 0; each < count; each += 1) {
      const { id } = this.#relation(reader.uint32())
      const head = this.#head(transaction)
      entries.push({ kind: 'change', ...head, table: id, op: 'truncate', before: null, after: null, changed: null })
    }
    reader.end()
    return { kind: 'entries', entries, bytes: ENTRY_BYTES * count }
  }

  #message(reader: Reader): Decoded {
    const isTransactional = reader.uint8() === 1
    // Messages outside transactions arrive out of commit order and can carry no position.
    if (!isTransactional) return NONE
    reader.uint64()
    const prefix = reader.cstring()
    const length = reader.uint32()
    const content = reader.text(length)
    reader.end()
    const head = this.#head(this.#open())
    const bytes = ENTRY_BYTES + MEMORY_PER_BYTE * length
    return { kind: 'entries', entries: [{ kind: 'barrier', ...head, prefix, content }], bytes }
  }
}
