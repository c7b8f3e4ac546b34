/**
 * Which records a change becomes, and where they go.
 *
 * Invariants: a record's partition depends on its key alone, and what has no key stays in one partition; a delete is
 * followed by its tombstone; a key change is a delete and a tombstone under the old key and a create under the new one,
 * each naming the other, as Debezium writes it; a barrier goes into every partition of every topic.
 */
import type { RowEncoder, RowKind } from '../log/kafka/encode.ts'
import { ByteWriter } from '../log/kafka/encode-bytes.ts'
import {
  BARRIER_HEADER,
  COLUMNS_HEADER,
  NEW_KEY_HEADER,
  OLD_KEY_HEADER,
  type TransactionHeaders,
  writeHeader,
} from '../log/kafka/envelope.ts'
import type { Publisher, TopicPlaces } from '../log/kafka/publish.ts'
import { partitionOf } from '../log/kafka/publish-partition.ts'

type Headers = readonly (readonly [name: string, value: Buffer])[]

const NONE: Headers = []

export class RecordWriter {
  readonly #publisher: Publisher
  readonly #null = new ByteWriter()

  constructor(publisher: Publisher) {
    this.#publisher = publisher
  }

  /** @param value null for a tombstone; its writer is used up: the headers are written behind */
  add(
    places: TopicPlaces,
    key: ByteWriter | null,
    value: ByteWriter | null,
    headers: TransactionHeaders,
    index: number,
    more: Headers = NONE,
  ): void {
    const partition = key === null ? 0 : partitionOf(key.bytes, key.at, places.partitions)
    this.#addTo(places.first + partition, key, value, headers, index, more)
  }

  barrier(content: string, headers: TransactionHeaders, index: number): void {
    const key = new ByteWriter()
    key.raw(Buffer.from(JSON.stringify({ [BARRIER_HEADER]: content })))
    const more = [[BARRIER_HEADER, Buffer.from(content)]] as const
    for (const { first, partitions } of this.#publisher.topics.values()) {
      for (let place = first; place < first + partitions; place += 1) {
        this.#addTo(place, key, null, headers, index, more)
      }
    }
  }

  #addTo(
    place: number,
    key: ByteWriter | null,
    value: ByteWriter | null,
    headers: TransactionHeaders,
    index: number,
    more: Headers,
  ): void {
    if (value === null) this.#null.reset()
    const rest = value ?? this.#null
    const valueBytes = value === null ? -1 : value.at
    headers.write(rest, index, more.length)
    for (const [name, bytes] of more) writeHeader(rest, name, bytes)
    this.#publisher.add(place, key, valueBytes, rest)
  }
}

const columnsOf = (unknown: Buffer | null): Headers => (unknown === null ? NONE : [[COLUMNS_HEADER, unknown]])

const bytesOf = (writer: ByteWriter) => Buffer.from(writer.bytes.subarray(0, writer.at))

/** The records of the row that `encoder` holds. */
export function writeRow(
  records: RecordWriter,
  kind: RowKind,
  { hasKey, key, oldKey, value, created, unknownColumns }: RowEncoder,
  places: TopicPlaces,
  headers: TransactionHeaders,
  index: number,
): void {
  const columns = columnsOf(unknownColumns)
  if (kind === 'rekey') {
    const moved = [NEW_KEY_HEADER, bytesOf(key)] as const
    records.add(places, oldKey, value, headers, index, [moved, ...columns])
    records.add(places, oldKey, null, headers, index, [moved])
    records.add(places, key, created, headers, index + 1, [[OLD_KEY_HEADER, bytesOf(oldKey)], ...columns])
    return
  }
  const keyed = hasKey ? key : null
  records.add(places, keyed, value, headers, index, columns)
  if (kind === 'delete' && keyed !== null) records.add(places, keyed, null, headers, index)
}
