/** What the publisher is given by whoever publishes. */
import type { Faults } from '../../faults.ts'
import type { Compression } from './compress.ts'
import type { BatchRecord } from './publish-batch.ts'
import type { LinkOptions } from './publish-link.ts'
import type { PartitionRef } from './publish-round.ts'

export interface RefusedRecord extends PartitionRef {
  readonly record: BatchRecord
  readonly bytes: number
}

export interface PublisherOptions extends LinkOptions {
  readonly compression?: Compression
  /** Of one partition's batch, before compression. */
  readonly maxBatchBytes?: number
  /** Keeps a record its topic cannot take, and gives what is published in its place. @throws when there is no such thing */
  readonly onRefused: (refused: RefusedRecord) => Promise<BatchRecord>
  /** Asked before each request: false when another may publish by now. Default: always. */
  readonly maySend?: () => boolean
  /** Called after each round that is done. */
  readonly onProgress: () => void
  /** Called with what a round that is done held: records, and their bytes before compression. */
  readonly onPublished?: (records: number, bytes: number) => void
  readonly faults?: Faults
}
