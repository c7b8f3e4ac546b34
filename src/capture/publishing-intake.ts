/**
 * One connection's messages into the publisher: each row encoded in the tick it arrives.
 *
 * Invariants: a table that was just described is looked up in the catalog first; until that is done the messages behind
 * it are kept as copies, in order, with the socket paused. What a new connection sends again and the publisher has taken
 * already is passed over. The place of a change counts every row and transactional message, as in src/capture/pgoutput.ts.
 */
import { aborted } from '../db/backoff.ts'
import type { Pool } from '../db/pool.ts'
import { RowEncoder } from '../log/kafka/encode.ts'
import type { EncodedRelation, EncodeTypes } from '../log/kafka/encode-types.ts'
import type { EnvelopeSource } from '../log/kafka/envelope.ts'
import type { TopicPlaces } from '../log/kafka/publish.ts'
import { BARRIER_PREFIX } from '../log/log.ts'
import { END_OF_TRANSACTION } from '../log/position.ts'
import { corrupt } from './corrupt.ts'
import type { Published } from './publishing-commits.ts'
import { type FlowOptions, PublishingFlow } from './publishing-flow.ts'
import { ChangeLsn } from './publishing-frame.ts'
import { RecordWriter, writeRow } from './publishing-records.ts'
import { readDescription, resolveRelation } from './publishing-relation.ts'
import { type OpenTransaction, readBegin } from './publishing-transaction.ts'
import { Reader } from './reader.ts'
import type { Intake } from './replicate.ts'

export interface IntakeOptions extends Omit<FlowOptions, 'publisher'> {
  readonly pool: Pool
  readonly source: EnvelopeSource
  readonly types: EncodeTypes
  readonly published: Published
  /** Topic of `schema.table`. */
  readonly topicOf: (table: string) => string
}

/** What the embedded log still wrote before this way was taken (carrier.ts): it published its own positions too. */
const POSITIONS = 'rescore.stage_position'

interface Table {
  readonly encoder: RowEncoder
  readonly places: TopicPlaces
}

export class PublishingIntake implements Intake {
  readonly #options: IntakeOptions
  readonly #flow: PublishingFlow
  readonly #system: Buffer
  /** Null: carried on the embedded log alone. */
  readonly #tables = new Map<number, Table | null>()
  readonly #records: RecordWriter
  readonly #lsn = new ChangeLsn()
  /** Messages that came while a table was looked up, copied. */
  #waiting: { readonly message: Buffer; readonly high: number; readonly low: number }[] = []
  #lookups: Promise<void> | null = null
  #transaction: OpenTransaction | null = null
  #previousEndLsn: bigint | null = null
  #isOver = false
  #failed = Promise.withResolvers<never>()
  receivedLsn = 0n

  constructor(options: IntakeOptions) {
    this.#options = options
    this.#flow = new PublishingFlow({ ...options, publisher: options.published.publisher })
    this.#system = Buffer.from(options.source.system)
    this.#records = new RecordWriter(options.published.publisher)
    // Looked at by `work`, which may not have started.
    this.#failed.promise.catch(() => undefined)
  }

  take(message: Buffer): void {
    if (this.#isOver) return
    this.#lsn.read(message)
    if (this.#lookups === null) this.#handle(message)
    else this.#waiting.push({ message: Buffer.from(message), high: this.#lsn.high, low: this.#lsn.low })
    this.#flow.push(this.#lookups !== null)
  }

  async work(over: AbortSignal): Promise<void> {
    await Promise.race([aborted(over), this.#failed.promise]).finally(() => this.#end())
  }

  /** A look-up may answer later: what has waited for it comes again on the next connection. */
  #end(): void {
    this.#isOver = true
    this.#waiting = []
  }

  /** The publisher has room again. */
  progressed(): void {
    this.#flow.progressed(this.#lookups !== null)
  }

  /** Waits, for a bounded time, until the brokers have all that was taken: what they have need not come again. */
  async drain(): Promise<void> {
    this.#end()
    await this.#flow.drain()
  }

  finishedLsn(): bigint {
    const { publisher, commits } = this.#options.published
    return commits.finished(publisher.done)
  }

  isIdle(): boolean {
    // Once it is over messages are passed over, so a keep-alive may stand behind some of them.
    if (this.#isOver) return false
    const { publisher, commits } = this.#options.published
    return publisher.bytes === 0 && commits.isEmpty && this.#transaction === null && this.#waiting.length === 0
  }

  #handle(message: Buffer): void {
    switch (message[0]) {
      // I, U, D
      case 0x49:
      case 0x55:
      case 0x44:
        this.#row(message)
        break
      case 0x42: // B
        this.#begin(new Reader(message))
        break
      case 0x43: // C
        this.#commit(new Reader(message))
        break
      case 0x52: // R
        this.#describe(message)
        break
      case 0x54: // T
        this.#truncate(new Reader(message))
        break
      case 0x4d: // M
        this.#message(new Reader(message))
        break
      // The replication origin of a transaction, and the names of types: nothing depends on either.
      case 0x4f:
      case 0x59:
        break
      default:
        throw corrupt(`a message of unknown kind ${message[0]}`)
    }
  }

  #begin(reader: Reader): void {
    if (this.#transaction !== null) throw corrupt('a transaction inside another')
    this.#transaction = readBegin(reader, this.#system, this.#previousEndLsn)
  }

  #commit(reader: Reader): void {
    const { published } = this.#options
    reader.uint8()
    const [lsn, endLsn] = [reader.uint64(), reader.uint64()]
    if (this.#open().commitLsn !== lsn || endLsn <= lsn) throw corrupt('a commit of another transaction')
    this.#transaction = null
    this.#previousEndLsn = endLsn
    this.receivedLsn = endLsn
    // Sent again by a new connection: it is among the pending ones, or finished.
    if (!published.takes(lsn, END_OF_TRANSACTION)) return
    published.commits.add(endLsn, published.publisher.mark)
  }

  #open(): OpenTransaction {
    if (this.#transaction === null) throw corrupt('a change outside any transaction')
    return this.#transaction
  }

  /** The index of the next change; null when the publisher has taken it from an earlier connection. */
  #index(transaction: OpenTransaction): number | null {
    const index = transaction.nextPlace * 2
    transaction.nextPlace += 1
    // Both halves of a key change are taken in one tick, so the second stands for both.
    return this.#options.published.takes(transaction.commitLsn, index + 1) ? index : null
  }

  #table(relid: number): Table | null {
    const table = this.#tables.get(relid)
    if (table === undefined) throw corrupt(`a row of table ${relid}, which it did not describe`)
    return table
  }

  #row(message: Buffer): void {
    const transaction = this.#open()
    const index = this.#index(transaction)
    if (index === null) return
    const table = this.#table(message.readUInt32BE(1))
    if (table === null) return
    const { encoder, places } = table
    const kind = encoder.row(message, transaction, this.#lsn.high, this.#lsn.low, Date.now())
    writeRow(this.#records, kind, encoder, places, transaction.headers, index)
  }

  #truncate(reader: Reader): void {
    const transaction = this.#open()
    const count = reader.uint32()
    reader.uint8()
    for (let each = 0; each < count; each += 1) {
      const found = this.#table(reader.uint32())
      const index = this.#index(transaction)
      if (index === null || found === null) continue
      const { encoder, places } = found
      encoder.truncate(transaction, this.#lsn.high, this.#lsn.low, Date.now())
      this.#records.add(places, null, encoder.value, transaction.headers, index)
    }
    reader.end()
  }

  #message(reader: Reader): void {
    // Messages outside transactions arrive out of commit order and can carry no position.
    if (reader.uint8() !== 1) return
    reader.uint64()
    const prefix = reader.cstring()
    const content = reader.text(reader.uint32())
    reader.end()
    const transaction = this.#open()
    const index = this.#index(transaction)
    if (index === null || prefix !== BARRIER_PREFIX) return
    this.#records.barrier(content, transaction.headers, index)
  }

  #describe(message: Buffer): void {
    const described = readDescription(message)
    const table = `${described.schema}.${described.name}`
    if (table === POSITIONS) {
      this.#tables.set(described.relid, null)
      return
    }
    const topic = this.#options.topicOf(table)
    const places = this.#options.published.publisher.topics.get(topic)
    if (places === undefined) throw corrupt(`changes of ${table}, which has no topic`)
    this.#lookups = resolveRelation(this.#options.pool, described)
      .then((relation) => this.#resolved(described.relid, relation, places))
      .catch((error: unknown) => this.#failed.reject(error))
  }

  /** Goes on with what has waited, up to the next table that must be looked up. */
  #resolved(relid: number, relation: EncodedRelation, places: TopicPlaces): void {
    if (this.#isOver) return
    const { source, types } = this.#options
    this.#tables.set(relid, { encoder: new RowEncoder(relation, source, types), places })
    this.#lookups = null
    const waiting = this.#waiting
    this.#waiting = []
    for (const { message, high, low } of waiting) {
      this.#lsn.set(high, low)
      if (this.#lookups === null) this.#handle(message)
      else this.#waiting.push({ message, high, low })
    }
    this.#flow.push(this.#lookups !== null)
    this.progressed()
  }
}
