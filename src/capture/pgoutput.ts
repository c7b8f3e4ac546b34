/**
 * Decodes pgoutput, protocol version 1, into changes.
 *
 * Invariants: every value is copied out of the buffer in the same call, because the driver reuses it; the index counts
 * every row and transactional message of a transaction, before any filter, so a change of configuration never shifts a
 * position; a value that is not in the stream is left out, never turned into null. Holds no state that outlives its
 * connection: the server describes each table again on a new one.
 */

import { RescoreError } from '../errors.ts'
import type { Change, Entry, Row } from '../log/log.ts'

interface Relation {
  readonly id: string
  readonly columns: readonly string[]
  /** Part of the replica identity, by column. */
  readonly identity: readonly boolean[]
}

interface OpenTransaction {
  readonly lsn: bigint
  readonly xid: number
  readonly committedAtMs: number
  nextIndex: number
}

/** What one message of the stream means. */
export type Decoded =
  | { readonly kind: 'entries'; readonly entries: readonly Entry[]; readonly bytes: number }
  | { readonly kind: 'begin' }
  | { readonly kind: 'commit'; readonly lsn: bigint; readonly endLsn: bigint; readonly committedAtMs: number }
  | { readonly kind: 'none' }

const NONE: Decoded = { kind: 'none' }
/** 2000-01-01 UTC, where PostgreSQL's times start, in milliseconds since 1970. */
const POSTGRES_EPOCH_MS = 946_684_800_000

function corrupt(what: string): RescoreError {
  return new RescoreError({
    code: 'CAPTURE_DECODE',
    fate: 'stop',
    message: `The replication stream holds ${what}.`,
    mend: 'This is a bug or a newer protocol: keep the slot, report the message, and run the version before.',
  })
}

/** Reads one message from its first byte to its last. */
class Reader {
  readonly #buffer: Buffer
  #at = 1

  constructor(buffer: Buffer) {
    this.#buffer = buffer
  }

  uint8(): number {
    const value = this.#buffer.readUInt8(this.#at)
    this.#at += 1
    return value
  }

  uint16(): number {
    const value = this.#buffer.readUInt16BE(this.#at)
    this.#at += 2
    return value
  }

  uint32(): number {
    const value = this.#buffer.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  uint64(): bigint {
    const value = this.#buffer.readBigUInt64BE(this.#at)
    this.#at += 8
    return value
  }

  timeMs(): number {
    const micros = this.#buffer.readBigInt64BE(this.#at)
    this.#at += 8
    return POSTGRES_EPOCH_MS + Number(micros) / 1000
  }

  text(length: number): string {
    if (this.#at + length > this.#buffer.length) throw corrupt('a value longer than its message')
    const value = this.#buffer.toString('utf8', this.#at, this.#at + length)
    this.#at += length
    return value
  }

  cstring(): string {
    const end = this.#buffer.indexOf(0, this.#at)
    if (end < 0) throw corrupt('a name without its end')
    const value = this.#buffer.toString('utf8', this.#at, end)
    this.#at = end + 1
    return value
  }
}

/** Column values of one tuple; undefined: not in the stream. */
type Tuple = readonly (string | null | undefined)[]

function readTuple(reader: Reader): Tuple {
  const count = reader.uint16()
  const values: (string | null | undefined)[] = []
  for (let column = 0; column < count; column += 1) {
    const kind = reader.uint8()
    if (kind === 0x74) values.push(reader.text(reader.uint32()))
    else if (kind === 0x6e) values.push(null)
    else if (kind === 0x75) values.push(undefined)
    else throw corrupt(`a column of unknown kind ${kind}`)
  }
  return values
}

function toRow(relation: Relation, tuple: Tuple, only: readonly boolean[] | null): Row {
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
function fillUnchanged(after: Tuple, before: Tuple): Tuple {
  return after.includes(undefined)
    ? after.map((value, column) => (value === undefined ? before[column] : value))
    : after
}

function changedColumns(relation: Relation, before: Tuple, after: Tuple): readonly string[] {
  return relation.columns.filter((_, column) => before[column] !== after[column])
}

export class PgoutputDecoder {
  readonly #relations = new Map<number, Relation>()
  #transaction: OpenTransaction | null = null

  /** Between the beginning and the commit of a transaction. */
  get isInTransaction(): boolean {
    return this.#transaction !== null
  }

  /** @throws RescoreError CAPTURE_DECODE when the message is not what the protocol says */
  decode(message: Buffer): Decoded {
    const reader = new Reader(message)
    switch (String.fromCharCode(message[0] ?? 0)) {
      case 'B':
        this.#transaction = {
          lsn: reader.uint64(),
          committedAtMs: reader.timeMs(),
          xid: reader.uint32(),
          nextIndex: 0,
        }
        return { kind: 'begin' }
      case 'C': {
        reader.uint8()
        const commit = { lsn: reader.uint64(), endLsn: reader.uint64(), committedAtMs: reader.timeMs() }
        this.#transaction = null
        return { kind: 'commit', ...commit }
      }
      case 'R':
        this.#describe(reader)
        return NONE
      case 'I':
      case 'U':
      case 'D':
        return { kind: 'entries', entries: [this.#rowChange(reader, message)], bytes: 200 + 2 * message.length }
      case 'T':
        return this.#truncate(reader)
      case 'M':
        return this.#message(reader)
      case 'O':
      case 'Y':
        return NONE
      default:
        throw corrupt(`a message of unknown kind ${message[0]}`)
    }
  }

  #describe(reader: Reader): void {
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
    this.#relations.set(relid, { id, columns, identity })
  }

  #relation(relid: number): Relation {
    const relation = this.#relations.get(relid)
    if (relation === undefined) throw corrupt(`a row of table ${relid}, which it did not describe`)
    return relation
  }

  #open(): OpenTransaction {
    if (this.#transaction === null) throw corrupt('a row outside any transaction')
    return this.#transaction
  }

  #head(transaction: OpenTransaction): Pick<Change, 'position' | 'xid' | 'committedAtMs'> {
    const position = { lsn: transaction.lsn, index: transaction.nextIndex }
    transaction.nextIndex += 1
    return { position, xid: transaction.xid, committedAtMs: transaction.committedAtMs }
  }

  #rowChange(reader: Reader, message: Buffer): Change {
    const head = this.#head(this.#open())
    const relation = this.#relation(reader.uint32())
    const common = { kind: 'change', ...head, table: relation.id } as const
    if (message[0] === 0x49) {
      reader.uint8()
      return { ...common, op: 'insert', before: null, after: toRow(relation, readTuple(reader), null), changed: null }
    }
    const marker = String.fromCharCode(reader.uint8())
    const old = marker === 'K' || marker === 'O' ? readTuple(reader) : null
    // In a key-only tuple null means "not part of the key", so only the identity columns are known.
    const before = old === null ? null : toRow(relation, old, marker === 'K' ? relation.identity : null)
    if (message[0] === 0x44) return { ...common, op: 'delete', before, after: null, changed: null }
    if (old !== null) reader.uint8()
    const received = readTuple(reader)
    const after = old !== null && marker === 'O' ? fillUnchanged(received, old) : received
    const changed = old !== null && marker === 'O' ? changedColumns(relation, old, after) : null
    return { ...common, op: 'update', before, after: toRow(relation, after, null), changed }
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
    return { kind: 'entries', entries, bytes: 200 * count }
  }

  #message(reader: Reader): Decoded {
    const isTransactional = reader.uint8() === 1
    // Messages outside transactions arrive out of commit order and can carry no position.
    if (!isTransactional) return NONE
    reader.uint64()
    const prefix = reader.cstring()
    const content = reader.text(reader.uint32())
    const head = this.#head(this.#open())
    return { kind: 'entries', entries: [{ kind: 'barrier', ...head, prefix, content }], bytes: 200 + content.length }
  }
}
