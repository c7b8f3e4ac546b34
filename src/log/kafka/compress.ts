/**
 * Compression of record batches: for what we write, and for kafkajs to read what anyone wrote.
 *
 * Invariant: kafkajs brings gzip only; zstd of Node itself is added to its codecs, so that a consumer in this process
 * reads both. Levels are the fastest: the log is read soon and deleted in days.
 */
import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import { CompressionCodecs, CompressionTypes } from './client.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

export interface BatchCodec {
  /** As in the attributes of a record batch. */
  readonly id: 0 | 1 | 4
  compress(records: Uint8Array): Promise<Uint8Array>
  decompress(records: Uint8Array): Promise<Buffer>
}

const zstd = promisify(zstdCompress)
const unzstd = promisify(zstdDecompress)
const zip = promisify(gzip)
const unzip = promisify(gunzip)

const ZSTD_FAST = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

export const BATCH_CODECS: Readonly<Record<Exclude<Compression, 'none'>, BatchCodec>> = {
  gzip: { id: 1, compress: (records) => zip(records, { level: 1 }), decompress: (records) => unzip(records) },
  zstd: { id: 4, compress: (records) => zstd(records, ZSTD_FAST), decompress: (records) => unzstd(records) },
}

/** Once per process, before the first consumer. */
export function registerZstd(): void {
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: (encoder: { readonly buffer: Buffer }) => zstd(encoder.buffer, ZSTD_FAST),
    decompress: (buffer: Buffer) => unzstd(buffer),
  })
}
