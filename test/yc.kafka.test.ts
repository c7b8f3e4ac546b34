/** The real run (yc-replay.ts) over Kafka: one capture, two workers that share recomputing and scoring. */
import { expect, test } from 'vitest'
import { startWorker, type Worker } from './kafka/shared.ts'
import { describeKafka, kafkaSettings } from './support/kafka/kafka.ts'
import { createTestDatabase } from './support/pg.ts'
import { missingYcData, ycConfig } from './yc-portal.ts'
import { replayYc } from './yc-replay.ts'

/** What sharing itself brings now and then, and is repeated: rows in another worker's hands, partitions shared out again. */
const REPEATED = ['LOG_KEYS_HELD', 'LOG_KAFKA_REBALANCE']
const missing = missingYcData('yc.kafka.test.ts')

function countersOf(workers: readonly Worker[]) {
  const sum = { computed: 0, needed: 0, rows: 0, scored: 0 }
  for (const { service } of workers) {
    for (const { counters } of service.stages.get('recompute') ?? []) {
      sum.computed += counters.computed
      sum.needed += 'needed' in counters ? counters.needed : 0
      sum.rows += counters.written
    }
    for (const { counters } of service.stages.get('score') ?? []) sum.scored += counters.written
  }
  return sum
}

describeKafka('two workers', ({ brokers }) => {
  test.skipIf(missing !== null)(
    'real companies and their real changes end with every value right, and hardly any work that was not needed',
    { timeout: 1_800_000 },
    async () => {
      await using database = await createTestDatabase('yc')
      const kafka = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '4' })
      await replayYc({
        database,
        start: async () => {
          const capture = await startWorker(database, kafka, 'capture', ['capture'], ycConfig)
          const workers = [
            await startWorker(database, kafka, 'first', ['recompute', 'score'], ycConfig),
            await startWorker(database, kafka, 'second', ['recompute', 'score'], ycConfig),
          ]
          return {
            counters: () => countersOf(workers),
            stop: async () => {
              for (const worker of [...workers, capture]) await worker[Symbol.asyncDispose]()
              const failures = [...workers, capture].flatMap((worker) => worker.failures)
              expect(failures.filter((failure) => !REPEATED.some((code) => failure.includes(code)))).toEqual([])
              // Both had a share: one worker alone would prove nothing about sharing.
              for (const worker of workers) expect(countersOf([worker]).computed).toBeGreaterThan(0)
            },
          }
        },
        maxRatio: 1.05,
        writesOnce: false,
        timeoutMs: 300_000,
        figures: 'yc-kafka.json',
      })
    },
  )
})
