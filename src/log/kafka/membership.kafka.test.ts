import { expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { describeKafka, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import type { Source } from '../log.ts'
import { createKafka } from './client.ts'

describeKafka('membership', ({ brokers }) => {
  test('is told of the consumer made last: one given up earlier says nothing when it ends after the next has joined', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
    const told: (readonly Source[] | null)[] = []
    const onMembership = (_: string, assigned: readonly Source[] | null) => void told.push(assigned)
    const kafka = createKafka(settings, { role: 'test', log: { warn: () => undefined }, onMembership })
    const topic = `${settings.prefix}.app.company`
    const admin = kafka.admin()
    await admin.connect()
    await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: true })
    await admin.disconnect()
    const join = async () => {
      const consumer = kafka.consumer({ groupId: `${settings.prefix}.recompute` })
      await consumer.connect()
      await consumer.subscribe({ topics: [topic] })
      await consumer.run({ eachBatch: () => Promise.resolve() })
      return consumer
    }
    const first = await join()
    await eventually(() => expect(told.at(-1)).toHaveLength(2))
    const second = await join()
    await eventually(() => expect(told.at(-1)).toHaveLength(1))
    const before = told.length
    await first.disconnect()
    await eventually(() => expect(told.at(-1)).toHaveLength(2))
    expect(told.slice(before)).not.toContain(null)
    await second.disconnect()
    expect(told.at(-1)).toBe(null)
  })
})
