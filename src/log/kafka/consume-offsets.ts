/**
 * Whether partitions still hold what a stage has not handled.
 * Invariant: records that are gone, or a topic that was made anew, are refused; they never pass for a quiet partition.
 */
import type { Kafka } from 'kafkajs'
import { isRetriableDbError } from '../../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../../errors.ts'
import type { Source } from '../log.ts'
import { kafkaError } from './errors.ts'

/** topic → partitions */
export type Assignment = Readonly<Record<string, readonly number[]>>

export interface OffsetsOptions {
  readonly kafka: Kafka
  readonly handler: {
    stored(source: Source): Promise<{ readonly nextOffset: bigint }>
  }
  /** Told when the question could not be asked: it is asked again at the next sharing out. */
  readonly onError: (error: Error) => void
}

/** @throws RescoreError LOG_TOPIC_REPLACED, LOG_RECORDS_GONE */
export async function refuseOtherOffsets(options: OffsetsOptions, assignment: Assignment): Promise<void> {
  const { kafka, handler, onError } = options
  const admin = kafka.admin()
  try {
    await admin.connect()
    for (const [topic, partitions] of Object.entries(assignment)) {
      if (partitions.length === 0) continue
      const offsets = await admin.fetchTopicOffsets(topic)
      for (const { partition, low, high } of offsets) {
        if (!partitions.includes(partition)) continue
        const { nextOffset } = await handler.stored({ topic, partition })
        if (nextOffset > BigInt(high)) throw replaced({ topic, partition }, nextOffset, high)
        if (nextOffset < BigInt(low)) throw gone({ topic, partition }, nextOffset, low)
      }
    }
  } catch (error) {
    const reason = isRescoreError(error) || isRetriableDbError(error) ? error : kafkaError(error, 'looking at offsets')
    if (!isRescoreError(reason) || reason.fate !== 'stop') onError(asError(reason))
    else throw reason
  } finally {
    await admin.disconnect().catch((error: unknown) => onError(asError(error)))
  }
}

function replaced({ topic, partition }: Source, nextOffset: bigint, high: string): RescoreError {
  return new RescoreError({
    code: 'LOG_TOPIC_REPLACED',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} ends at ${high}, but records up to ${nextOffset} were handled: the topic was deleted and made anew.`,
    mend: 'Changes that were in it may be lost: rescore resync, which makes everything anew, and start again.',
  })
}

function gone({ topic, partition }: Source, nextOffset: bigint, low: string): RescoreError {
  return new RescoreError({
    code: 'LOG_RECORDS_GONE',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} begins at ${low}, but records from ${nextOffset} on were not handled yet: retention removed them.`,
    mend: 'rescore resync, which makes everything anew; and a retention longer than the longest time without workers.',
  })
}
