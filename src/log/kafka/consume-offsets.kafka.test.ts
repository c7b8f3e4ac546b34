/** What is taken for lost or gone, and what is not, while a topic and what is handled of it go on. */
import { expect, test } from 'vitest'
import { describeKafka, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { withAdmin } from './admin.ts'
import { createKafka } from './client.ts'
import { type OffsetsOptions, refuseOtherOffsets } from './consume-offsets.ts'

const client = { log: { warn: () => undefined }, role: 'test' } as const

async function openTopic(brokers: string) {
  const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
  const kafka = createKafka(settings, client)
  const topic = `${settings.prefix}.public.t`
  await withAdmin(settings, client, 'making a topic', (admin) =>
    admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }], waitForLeaders: true }),
  )
  const publish = async (count: number) => {
    const producer = kafka.producer({ allowAutoTopicCreation: false })
    await producer.connect()
    await producer.send({ topic, messages: Array.from({ length: count }, () => ({ value: 'x' })) })
    await producer.disconnect()
  }
  const remove = (before: number) =>
    withAdmin(settings, client, 'removing records', async (admin) => {
      // kafkajs removes only from topics that it has heard of.
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(before) }] })
    })
  /** Refuses, or tells what was said of trouble with asking. */
  const look = async (handler: OffsetsOptions['handler']) => {
    const told: Error[] = []
    await refuseOtherOffsets({ kafka, handler, onError: (error) => told.push(error) }, { [topic]: [0] })
    return told
  }
  return { publish, remove, look }
}

const at = (nextOffset: bigint): OffsetsOptions['handler'] => ({
  stored: async () => ({ nextOffset }),
  forget: () => undefined,
})

describeKafka('partitions that a stage reads', ({ brokers }) => {
  test('what is published and handled while the ends are asked for is not lost', async () => {
    const { publish, look } = await openTopic(brokers)
    let handled = 0n
    const handler = {
      ...at(0n),
      // Handled at once: whoever has asked for the end before finds it behind.
      stored: async () => {
        await publish(5)
        handled += 5n
        return { nextOffset: handled }
      },
    }
    expect(await look(handler)).toEqual([])
  })

  test('records that were handled and are no longer there were lost', async () => {
    const { publish, look } = await openTopic(brokers)
    await publish(3)
    await expect(look(at(4n))).rejects.toMatchObject({ code: 'LOG_RECORDS_LOST', fate: 'stop' })
    expect(await look(at(3n))).toEqual([])
  })

  test('records that are removed before they are handled are gone, those removed right after are not', async () => {
    const { publish, remove, look } = await openTopic(brokers)
    await publish(5)
    await remove(4)
    await expect(look(at(3n))).rejects.toMatchObject({ code: 'LOG_RECORDS_GONE', fate: 'stop' })
    let next = 3n
    const handler = {
      stored: async () => ({ nextOffset: next }),
      forget: () => {
        next = 5n
      },
    }
    expect(await look(handler)).toEqual([])
  })
})
