/**
 * How long topics keep their records, and removing all there are: for records that may not be kept any longer.
 * Invariant: what is removed had been published when it began; the log of a topic only ever starts later by it. Whoever
 * has not read a removed record never will: the caller has seen to it that the stages have.
 */
import type { Admin } from 'kafkajs'
import { withAdmin } from './admin.ts'
import type { ClientOptions } from './client.ts'
import type { KafkaSettings } from './settings.ts'
import { describeTopics } from './topics-admin.ts'

type Client = ClientOptions & { readonly signal?: AbortSignal }

/** By topic, milliseconds; null: for ever. Topics that are not there are left out. */
export async function readRetention(
  settings: KafkaSettings,
  client: Client,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number | null>> {
  const states = await withAdmin(settings, client, 'looking at topics', (admin) => describeTopics(admin, topics))
  return new Map(
    [...states].map(([name, { config }]) => {
      const ms = Number(config['retention.ms'] ?? -1)
      return [name, ms >= 0 ? ms : null]
    }),
  )
}

async function purge(admin: Admin, topic: string): Promise<number> {
  const offsets = await admin.fetchTopicOffsets(topic)
  const filled = offsets.filter(({ low, high }) => BigInt(high) > BigInt(low))
  if (filled.length === 0) return 0
  await admin.deleteTopicRecords({
    topic,
    partitions: filled.map(({ partition, high }) => ({ partition, offset: high })),
  })
  return filled.reduce((sum, { low, high }) => sum + Number(BigInt(high) - BigInt(low)), 0)
}

/** @returns offsets removed, by topic */
export async function purgeTopics(
  settings: KafkaSettings,
  client: Client,
  topics: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  return withAdmin(settings, client, 'removing records of topics', async (admin) => {
    const existing = new Set(await admin.listTopics())
    const removed = new Map<string, number>()
    for (const topic of topics) if (existing.has(topic)) removed.set(topic, await purge(admin, topic))
    return removed
  })
}
