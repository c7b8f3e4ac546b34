/**
 * Where stages begin to read topics in which they have no position.
 *
 * On a database whose capture is new (a first start, or the first after a resync) that is the end of each topic as it is
 * then: every row is stale and will be swept, and what the topics hold may be of another history of the database, whose
 * positions would pass over changes of this one. Invariants: the ends are noted before there is a slot, so before any
 * record of the new history; whoever comes later finds them noted. Otherwise it is the beginning: a change that was
 * published may not have been handled by anyone. Every step can be repeated after a crash.
 */
import type { Admin, Kafka } from 'kafkajs'
import type { Pool } from '../../db/pool.ts'
import { RescoreError } from '../../errors.ts'
import { readEnds } from './ends.ts'
import { kafkaError } from './errors.ts'
import { ensurePartitions, type FoundPartition } from './partitions.ts'
import { readTopicIds } from './topic-ids.ts'

async function ask(
  admin: Admin,
  ids: ReadonlyMap<string, string | null>,
  topics: readonly string[],
  which: 'low' | 'high',
): Promise<readonly FoundPartition[]> {
  const found: FoundPartition[] = []
  for (const topic of topics) {
    const partitions = await readEnds(admin, topic)
    if (partitions.length === 0) throw noTopic(topic)
    const topicId = ids.get(topic) ?? null
    for (const { partition, [which]: offset } of partitions) found.push({ topic, partition, offset, topicId })
  }
  return found
}

/** Every partition of the topics, with its first offset or the one behind its last. @throws RescoreError LOG_KAFKA_* */
export async function readFound(
  kafka: Kafka,
  topics: readonly string[],
  which: 'low' | 'high',
): Promise<readonly FoundPartition[]> {
  const admin = kafka.admin()
  try {
    await admin.connect()
    // Before the offsets: a topic made anew in between is then known by neither, and told by its id later.
    return await ask(admin, await readTopicIds(kafka, topics), topics, which)
  } catch (error) {
    throw kafkaError(error, `looking for ${topics.join(', ')}`)
  } finally {
    await admin.disconnect()
  }
}

/** Notes the ends of the topics for stages that have no position in them. Only while `rescore.capture` is empty. */
export async function beginAtEnds(
  pool: Pool,
  kafka: Kafka,
  stages: ReadonlyMap<string, readonly string[]>,
): Promise<void> {
  for (const [stage, topics] of stages) await ensurePartitions(pool, stage, await readFound(kafka, topics, 'high'))
}

function noTopic(topic: string): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_UNKNOWN_TOPIC',
    fate: 'stop',
    message: `Topic without partitions: ${topic}.`,
    mend: 'rescore topics --apply',
  })
}
