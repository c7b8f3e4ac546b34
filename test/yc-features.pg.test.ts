/** Definitions that change on the real run (yc-features.ts), on the embedded log: the service is restarted with each. */
import { test } from 'vitest'
import { type Running, startIn } from './chaos/running.ts'
import { createTestDatabase } from './support/pg.ts'
import { replayFeatures } from './yc-features.ts'
import { missingYcData } from './yc-portal.ts'

const missing = missingYcData('yc-features.pg.test.ts')

test.skipIf(missing !== null)(
  'features change beside the changes of real companies: what was planned happens, and every value is right',
  { timeout: 1_800_000 },
  async () => {
    await using database = await createTestDatabase('yc_features')
    let running: Running | null = null
    const stop = async () => {
      await running?.[Symbol.asyncDispose]()
      running = null
    }
    await replayFeatures({
      database,
      switchTo: async (config) => {
        await stop()
        running = await startIn(database, config)
      },
      computed: () => running?.service.recompute.counters.computed ?? 0,
      isExact: true,
      stop,
      timeoutMs: 120_000,
      figures: 'yc-features.json',
    })
  },
)
