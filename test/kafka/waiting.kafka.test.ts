import { test } from 'vitest'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { waitsForWhoeverComes } from '../support/waiting.ts'
import { startWorker } from './shared.ts'

describeKafka('over Kafka', ({ brokers }) => {
  test('a wait begun before capture and workers exist, or while they are stopped, returns when they come', async () => {
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
    await waitsForWhoeverComes(async (database) => {
      await using stack = new AsyncDisposableStack()
      stack.use(await startWorker(database, kafka, 'worker', ['recompute', 'score']))
      stack.use(await startWorker(database, kafka, 'capture', ['capture']))
      return stack.move()
    })
  })
})
