/**
 * Kafka's record batch, version 2, written record by record into one buffer.
 *
 * Why ours: kafkajs makes an object and three buffers of every record and groups records in quadratic time: 13 µs of
 * processor time a row of 900 bytes, where this costs 1.5 (docs/kafka.md has the figures).
 * Invariants: offsets within the batch are consecutive from 0; what `finish` returns belongs to the batch until it is
 * acknowledged and is the same at every attempt (but for the stamp of a new identity); `split` keeps every record byte for byte but for its offset.
 */
import type { BatchCodec } from './compress.ts'
import { ByteWriter } from './encode-bytes.ts'
import { writeVarint } from './envelope.ts'
import { crc32c } from './publish-crc32c.ts'
import { NO_STAMP, type Stamp } from './publish-identity.ts'

/** Everything before the records. */
export const BATCH_HEAD_BYTES = 61
const MAGIC = 2
const COUNT_AT = 57
const ATTRIBUTES_AT = 21
/** A length that needs one, two… bytes as a varint of a non-negative number. */
function varintSize(value: number): number {
  let size = 1
  for (let left = value * 2; left > 0x7f; left = Math.floor(left / 128)) size += 1
  return size
}

export interface BatchRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** The headers as they stand in the record, their count in front. */
  readonly headers: Buffer
}

export class RecordBatch {
  readonly #out = new ByteWriter()
  #count = 0
  #finished: Buffer | null = null
  #stamp: Stamp | null = null

  static of(records: readonly BatchRecord[]): RecordBatch {
    const batch = new RecordBatch()
    for (const { key, value, headers } of records) {
      const rest = writerOf(value ?? EMPTY)
      rest.raw(headers)
      batch.add(key && writerOf(key), value?.length ?? -1, rest)
    }
    return batch
  }

  constructor() {
    this.#out.reserve(BATCH_HEAD_BYTES)
    this.#out.at = BATCH_HEAD_BYTES
  }

  get count(): number {
    return this.#count
  }

  /** Bytes before compression, head included. */
  get bytes(): number {
    return this.#out.at
  }

  /** Empty again, its memory kept. */
  clear(): void {
    this.#out.reset()
    this.#out.reserve(BATCH_HEAD_BYTES)
    this.#out.at = BATCH_HEAD_BYTES
    this.#count = 0
    this.#finished = null
    this.#stamp = null
  }

  /**
   * @param valueBytes of the value, at the beginning of `rest`; -1: null
   * @param rest the value and, right behind it, the headers as they stand in a record: one copy instead of two
   */
  add(key: ByteWriter | null, valueBytes: number, rest: ByteWriter): void {
    const keyBytes = key === null ? 0 : key.at
    const length =
      2 +
      varintSize(this.#count) +
      (key === null ? 1 : varintSize(keyBytes) + keyBytes) +
      (valueBytes < 0 ? 1 : varintSize(valueBytes)) +
      rest.at
    const out = this.#out
    out.reserve(length + 8)
    writeVarint(out, length)
    // No attributes, and the time of the batch.
    out.byte(0)
    out.byte(0)
    writeVarint(out, this.#count)
    writeVarint(out, key === null ? -1 : keyBytes)
    if (key !== null) out.raw(key.bytes, 0, keyBytes)
    writeVarint(out, valueBytes)
    out.raw(rest.bytes, 0, rest.at)
    this.#count += 1
  }

  /** The batch as it goes over the wire; the same bytes however often it is asked with the same stamp. */
  async finish(nowMs: number, codec: BatchCodec | null, stamp: Stamp = NO_STAMP): Promise<Buffer> {
    if (this.#finished === null) {
      this.#finished = await this.#compose(nowMs, codec)
      // An attempt that was given up may have composed it meanwhile, too.
      this.#stamp = null
    }
    const batch = this.#finished
    const { producerId, epoch, sequence } = stamp
    const before = this.#stamp
    if (before?.producerId === producerId && before.epoch === epoch && before.sequence === sequence) return batch
    this.#stamp = stamp
    batch.writeBigInt64BE(producerId, 43)
    batch.writeInt16BE(epoch, 51)
    batch.writeInt32BE(sequence, 53)
    batch.writeUInt32BE(crc32c(batch, ATTRIBUTES_AT, batch.length), 17)
    return batch
  }

  async #compose(nowMs: number, codec: BatchCodec | null): Promise<Buffer> {
    const plain = this.#out.bytes.subarray(0, this.#out.at)
    const batch =
      codec === null
        ? plain
        : Buffer.concat([plain.subarray(0, BATCH_HEAD_BYTES), await codec.compress(plain.subarray(BATCH_HEAD_BYTES))])
    batch.writeBigInt64BE(0n, 0)
    batch.writeInt32BE(batch.length - 12, 8)
    // No leader epoch.
    batch.writeInt32BE(-1, 12)
    batch.writeInt8(MAGIC, 16)
    batch.writeInt16BE(codec?.id ?? 0, ATTRIBUTES_AT)
    batch.writeInt32BE(this.#count - 1, 23)
    batch.writeBigInt64BE(BigInt(nowMs), 27)
    batch.writeBigInt64BE(BigInt(nowMs), 35)
    batch.writeInt32BE(this.#count, COUNT_AT)
    return batch
  }

  /** Its records, read back from the bytes. */
  records(): readonly BatchRecord[] {
    const { bytes, at: end } = this.#out
    let at = BATCH_HEAD_BYTES
    const varint = () => {
      let [value, shift] = [0, 0]
      for (;;) {
        const byte = bytes[at] ?? 0
        at += 1
        value |= (byte & 0x7f) << shift
        if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
        shift += 7
      }
    }
    const field = (): Buffer | null => {
      const length = varint()
      if (length < 0) return null
      at += length
      return bytes.subarray(at - length, at)
    }
    const found: BatchRecord[] = []
    while (at < end) {
      const length = varint()
      const next = at + length
      at += 2
      varint()
      const [key, value] = [field(), field()]
      found.push({ key, value, headers: bytes.subarray(at, next) })
      at = next
    }
    return found
  }

  /** Two batches with half of the records each, in order. Only for more than one record. */
  split(): readonly [RecordBatch, RecordBatch] {
    const records = this.records()
    const middle = Math.ceil(records.length / 2)
    return [RecordBatch.of(records.slice(0, middle)), RecordBatch.of(records.slice(middle))]
  }
}

const EMPTY = Buffer.alloc(0)

function writerOf(bytes: Buffer): ByteWriter {
  const writer = new ByteWriter()
  writer.raw(bytes)
  return writer
}
