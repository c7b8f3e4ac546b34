import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DefaultPartitioner } from './client.ts'
import { BATCH_CODECS } from './compress.ts'
import { ByteWriter } from './encode-bytes.ts'
import { TransactionHeaders } from './envelope.ts'
import { BATCH_HEAD_BYTES, RecordBatch } from './publish-batch.ts'
import { crc32c } from './publish-crc32c.ts'
import { partitionOf } from './publish-partition.ts'
import { BatchPool, Round } from './publish-round.ts'

test('the checksum is CRC-32C: the vectors of RFC 3720, at any start and length', () => {
  const of = (bytes: Uint8Array) => crc32c(bytes, 0, bytes.length)
  expect(of(new Uint8Array(32))).toBe(0x8a9136aa)
  expect(of(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43)
  expect(of(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e)
  expect(of(Buffer.from('123456789'))).toBe(0xe3069283)
  expect(crc32c(Buffer.from('__123456789_'), 2, 11)).toBe(0xe3069283)
})

test('a key goes to the partition that kafkajs and Java would choose', () => {
  const choose = DefaultPartitioner()
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 24 }), (key, partitions) => {
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
        partitionId,
        leader: 0,
        partitionErrorCode: 0,
        replicas: [],
        isr: [],
      }))
      const message = { key: Buffer.from(key), value: null }
      expect(partitionOf(key, key.length, partitions)).toBe(choose({ topic: 't', partitionMetadata, message }))
    }),
  )
})

function writerOf(...parts: readonly Uint8Array[]): ByteWriter {
  const writer = new ByteWriter()
  for (const part of parts) writer.raw(part)
  return writer
}

const scratch = new ByteWriter()
const noHeaders = Buffer.from([0])
const record = fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 20 })),
  value: fc.option(fc.uint8Array({ maxLength: 300 })),
})

test('records come back from a batch as they went in, and its halves hold them all in order', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 2, maxLength: 200 }), (records) => {
      const batch = new RecordBatch()
      for (const { key, value } of records) {
        batch.add(key && writerOf(key), value?.length ?? -1, writerOf(value ?? new Uint8Array(), noHeaders))
      }
      const plain = (each: readonly { key: Uint8Array | null; value: Uint8Array | null }[]) =>
        each.map(({ key, value }) => [key && Buffer.from(key), value && Buffer.from(value)])
      expect(plain(batch.records())).toEqual(plain(records))
      const [first, second] = batch.split()
      expect(plain([...first.records(), ...second.records()])).toEqual(plain(records))
      expect(Math.abs(first.count - second.count)).toBeLessThanOrEqual(1)
    }),
  )
})

test('a finished batch says its length, count and checksum, compressed or not, and is the same when asked again', async () => {
  for (const codec of [null, BATCH_CODECS.gzip, BATCH_CODECS.zstd]) {
    const batch = new RecordBatch()
    for (let count = 0; count < 3; count += 1) batch.add(null, 100, writerOf(new Uint8Array(100), noHeaders))
    const plain = batch.bytes
    const finished = await batch.finish(1_767_225_600_000, codec)
    expect(finished.readInt32BE(8)).toBe(finished.length - 12)
    expect(finished.readInt32BE(57)).toBe(3)
    expect(finished.readInt16BE(21)).toBe(codec?.id ?? 0)
    expect(finished.readUInt32BE(17)).toBe(crc32c(finished, 21, finished.length))
    const body = finished.subarray(BATCH_HEAD_BYTES)
    const records = codec === null ? body : await codec.decompress(body)
    expect(records.length).toBe(plain - BATCH_HEAD_BYTES)
    expect(await batch.finish(0, codec)).toBe(finished)
  }
})

test('a position header holds the commit and the index, whatever their size', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(), (commitLsn, index) => {
      const transaction = { xid: 7, commitLsn, committedMicros: 0n, previousEndLsn: null }
      const out = new ByteWriter()
      new TransactionHeaders(Buffer.from('1'), transaction, scratch).write(out, index, 0)
      expect(out.bytes.toString('latin1', 0, out.at)).toContain(`${commitLsn.toString(16).padStart(16, '0')}/${index}`)
    }),
  )
})

test('a round is done when every partition is, and a batch split in two needs both halves', () => {
  const round = new Round(1, new BatchPool())
  for (const place of [0, 1, 1]) round.batch(place).add(null, 1, writerOf(new Uint8Array(1), noHeaders))
  round.acknowledged(0)
  expect(round.isDone).toBe(false)
  round.split(1)
  round.acknowledged(1)
  expect(round.isDone).toBe(false)
  round.acknowledged(1)
  expect(round.isDone).toBe(true)
})
