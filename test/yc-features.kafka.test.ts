/**
 * Definitions that change on the real run (yc-features.ts) over Kafka: with each a worker of the new code joins, and the
 * one with the old code ends after it.
 */
import { test } from 'vitest'
import { startWorker, type Worker } from './kafka/shared.ts'
import { describeKafka, kafkaSettings } from './support/kafka/kafka.ts'
import { createTestDatabase } from './support/pg.ts'
import { replayFeatures } from './yc-features.ts'
import { missingYcData } from './yc-portal.ts'
import { firstConfig } from './yc-releases.ts'

const missing = missingYcData('yc-features.kafka.test.ts')

describeKafka('a worker of new code', ({ brokers }) => {
  test.skipIf(missing !== null)(
    'joins the old one: what was planned happens beside the changes of real companies, and every value is right',
    { timeout: 1_800_000 },
    async () => {
      await using database = await createTestDatabase('yc_features')
      const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
      const running: Worker[] = []
      const end = async (worker: Worker | undefined) => await worker?.[Symbol.asyncDispose]()
      let releases = 0
      let capture: Worker | undefined
      await replayFeatures({
        database,
        switchTo: async (config) => {
          // Not before the connector has its tables.
          capture ??= await startWorker(database, kafka, 'capture', ['capture'], firstConfig)
          releases += 1
          running.unshift(await startWorker(database, kafka, `release_${releases}`, ['recompute', 'score'], config))
          await end(running.splice(1)[0])
        },
        computed: () => 0,
        isExact: false,
        stop: async () => {
          await end(running[0])
          await end(capture)
        },
        timeoutMs: 300_000,
        figures: 'yc-features-kafka.json',
      })
    },
  )
})
