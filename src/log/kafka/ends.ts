/**
 * Where partitions begin and end, asked for until their leaders are settled.
 * Why: kafkajs gives up at once on a partition whose leader is being elected or has only been named.
 */
import type { Admin } from 'kafkajs'
import { retry } from '../../db/backoff.ts'
import { kafkaError } from './errors.ts'

export interface PartitionEnds {
  readonly partition: number
  /** First offset that is there. */
  readonly low: bigint
  /** Behind the last. */
  readonly high: bigint
}

const ELECTION = {
  attempts: 8,
  baseMs: 100,
  maxMs: 1_000,
  isRetriable: (error: unknown) => kafkaError(error, 'asking for ends').fate === 'retry',
}

/** @throws kafkajs's errors */
export async function readEnds(admin: Admin, topic: string): Promise<readonly PartitionEnds[]> {
  const found = await retry(() => admin.fetchTopicOffsets(topic), ELECTION)
  return found.map(({ partition, low, high }) => ({ partition, low: BigInt(low), high: BigInt(high) }))
}
