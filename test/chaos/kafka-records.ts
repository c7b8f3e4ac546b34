/** What stands in the topics of a prefix, in order: the test's own look, past the product's consumer. */
import { createKafka } from '../../src/log/kafka/client.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'

export interface Appearances {
  /** With at least one record. */
  readonly partitions: number
  /** Records whose position stood before them in their partition. */
  readonly repeats: number
  /** Positions that appear for the first time behind a greater one of their partition. */
  readonly outOfOrder: readonly string[]
}

/** Reads every topic of the prefix from its beginning to its end. */
export async function appearances(settings: KafkaSettings): Promise<Appearances> {
  const kafka = createKafka(settings, { log: { warn: () => undefined }, role: 'test-reader' })
  const admin = kafka.admin()
  await admin.connect()
  const ends = new Map<string, bigint>()
  const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(`${settings.prefix}.`))
  for (const topic of topics) {
    for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
      if (BigInt(high) > 0n) ends.set(`${partition} ${topic}`, BigInt(high))
    }
  }
  const groupId = `${settings.prefix}.reader-${crypto.randomUUID()}`
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 })
  const left = new Set(ends.keys())
  const seen = new Map<string, Set<string>>()
  const greatest = new Map<string, string>()
  const outOfOrder: string[] = []
  const read = Promise.withResolvers<void>()
  let repeats = 0
  if (left.size === 0) read.resolve()
  try {
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    consumer.on(consumer.events.CRASH, ({ payload }) => read.reject(payload.error))
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        const id = `${partition} ${topic}`
        const position = comparable(String(message.headers?.['rescore.position']))
        const known = seen.get(id) ?? new Set()
        seen.set(id, known)
        const before = greatest.get(id) ?? ''
        if (known.has(position)) repeats += 1
        else if (position < before) outOfOrder.push(`${id}: ${position} behind ${before}`)
        known.add(position)
        if (position > before) greatest.set(id, position)
        if (BigInt(message.offset) + 1n >= (ends.get(id) ?? 0n)) left.delete(id)
        if (left.size === 0) read.resolve()
      },
    })
    await read.promise
  } finally {
    await consumer.disconnect()
    await admin.disconnect()
  }
  return { partitions: ends.size, repeats, outOfOrder }
}

/** `<16 hex digits>/<index>` so that texts compare as positions do. */
function comparable(position: string): string {
  const [lsn = '', index = ''] = position.split('/')
  return `${lsn}/${index.padStart(10, '0')}`
}
