/**
 * Whether partitions still hold what a stage has not handled.
 * Invariant: records that are gone or were lost are refused; they never pass for a quiet partition. (A topic that was
 * made anew and has grown since is told by its id: topic-watch.ts.)
 */
import type { Admin, Kafka } from 'kafkajs'
import { isRetriableDbError } from '../../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../../errors.ts'
import type { Source } from '../log.ts'
import { readEnds } from './ends.ts'
import { kafkaError } from './errors.ts'

/** topic → partitions */
export type Assignment = Readonly<Record<string, readonly number[]>>

export interface OffsetsOptions {
  readonly kafka: Kafka
  readonly handler: {
    stored(source: Source): Promise<{ readonly nextOffset: bigint }>
    /** What is stored is read again. */
    forget(): void
  }
  /** Told when the question could not be asked: it is asked again at the next sharing out. */
  readonly onError: (error: Error) => void
}

/**
 * Both a topic and what is handled of it go on while they are asked. An end is only ever ahead of what was handled before
 * it was asked for, and a beginning only ever behind what is still to be read after it.
 */
async function refuseTopic(
  admin: Admin,
  { handler }: OffsetsOptions,
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const handledBefore = new Map<number, bigint>()
  for (const partition of partitions) {
    handledBefore.set(partition, (await handler.stored({ topic, partition })).nextOffset)
  }
  for (const { partition, low, high } of await readEnds(admin, topic)) {
    const handled = handledBefore.get(partition)
    if (handled === undefined) continue
    if (handled > high) throw lost({ topic, partition }, handled, high)
    if (handled >= low) continue
    handler.forget()
    const { nextOffset } = await handler.stored({ topic, partition })
    if (nextOffset < low) throw gone({ topic, partition }, nextOffset, low)
  }
}

/** @throws RescoreError LOG_RECORDS_LOST, LOG_RECORDS_GONE */
export async function refuseOtherOffsets(options: OffsetsOptions, assignment: Assignment): Promise<void> {
  const { kafka, onError } = options
  const admin = kafka.admin()
  try {
    await admin.connect()
    for (const [topic, partitions] of Object.entries(assignment)) {
      if (partitions.length > 0) await refuseTopic(admin, options, topic, partitions)
    }
  } catch (error) {
    const reason = isRescoreError(error) || isRetriableDbError(error) ? error : kafkaError(error, 'looking at offsets')
    if (!isRescoreError(reason) || reason.fate !== 'stop') onError(asError(reason))
    else throw reason
  } finally {
    await admin.disconnect().catch((error: unknown) => onError(asError(error)))
  }
}

function lost({ topic, partition }: Source, nextOffset: bigint, high: bigint): RescoreError {
  return new RescoreError({
    code: 'LOG_RECORDS_LOST',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} ends at ${high}, but records up to ${nextOffset} were handled: its brokers lost records, or the topic was made anew.`,
    mend: 'Changes that were in it may be lost: stop every process, `rescore resync --yes`, and start.',
  })
}

function gone({ topic, partition }: Source, nextOffset: bigint, low: bigint): RescoreError {
  return new RescoreError({
    code: 'LOG_RECORDS_GONE',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} begins at ${low}, but records from ${nextOffset} on were not handled yet: retention removed them.`,
    mend: 'Stop every process, `rescore resync --yes`, and start; and keep records longer than the longest time without workers.',
  })
}
