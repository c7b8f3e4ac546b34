/** What stands in the topics of a prefix, in order: the test's own look, past the product's consumer. */
import { createKafka } from '../../src/log/kafka/client.ts'
import type { KafkaSettings } from '../../src/log/kafka/settings.ts'

export interface Appearances {
  /** With at least one record. */
  readonly partitions: number
  /** The most times that the positions of one partition went back to where they had been: once for each that takes over. */
  readonly turns: number
  /** Records whose position stood before them in their partition, the first of them in words. */
  readonly repeats: readonly string[]
  /** Positions that appear for the first time behind a greater one of their partition. */
  readonly outOfOrder: readonly string[]
}

const SHOWN = 10

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
  /** By partition: position to offset. */
  const seen = new Map<string, Map<string, string>>()
  const next = new Map<string, bigint>()
  const last = new Map<string, { readonly position: string; readonly turns: number }>()
  const greatest = new Map<string, string>()
  const outOfOrder: string[] = []
  const read = Promise.withResolvers<void>()
  const repeats: string[] = []
  if (left.size === 0) read.resolve()
  try {
    await consumer.connect()
    await consumer.subscribe({ topics, fromBeginning: true })
    consumer.on(consumer.events.CRASH, ({ payload }) => read.reject(payload.error))
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ topic, partition, message }) => {
        const id = `${partition} ${topic}`
        // A delete and its tombstone are one change.
        const position = `${comparable(String(message.headers?.['rescore.position']))}${message.value === null ? ' null' : ''}`
        // The reader's own group may be shared out anew, and begin again.
        if (BigInt(message.offset) < (next.get(id) ?? 0n)) return
        next.set(id, BigInt(message.offset) + 1n)
        const known = seen.get(id) ?? new Map<string, string>()
        seen.set(id, known)
        const before = greatest.get(id) ?? ''
        const first = known.get(position)
        if (first !== undefined)
          repeats.push(`${id}: ${position} at ${first} and ${message.offset} on ${message.timestamp}`)
        else if (position < before) outOfOrder.push(`${id}: ${position} behind ${before}`)
        const { position: previous = '', turns = 0 } = last.get(id) ?? {}
        last.set(id, { position, turns: position < previous ? turns + 1 : turns })
        known.set(position, first ?? message.offset)
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
  const turns = Math.max(0, ...[...last.values()].map((each) => each.turns))
  return { partitions: ends.size, turns, repeats: repeats.slice(0, SHOWN), outOfOrder: outOfOrder.slice(0, SHOWN) }
}

/** `<16 hex digits>/<index>` so that texts compare as positions do. */
function comparable(position: string): string {
  const [lsn = '', index = ''] = position.split('/')
  return `${lsn}/${index.padStart(10, '0')}`
}
