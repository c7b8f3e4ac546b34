/** The real run (yc-replay.ts) on the embedded log: one service, and each value that differs written exactly once. */
import { test } from 'vitest'
import { startService } from '../src/service.ts'
import { createTestDatabase } from './support/pg.ts'
import { missingYcData, ycConfig } from './yc-portal.ts'
import { replayYc } from './yc-replay.ts'

const missing = missingYcData('yc.pg.test.ts')

test.skipIf(missing !== null)(
  'real companies and their real changes end with every value right, and no work that was not needed',
  { timeout: 1_800_000 },
  async () => {
    await using database = await createTestDatabase('yc')
    const stop = new AbortController()
    await replayYc({
      database,
      start: async (warn) => {
        const { recompute, score, done } = await startService({
          url: database.url,
          config: ycConfig,
          slot: `yc_${process.pid}`,
          publication: 'rescore',
          signal: stop.signal,
          log: { info: () => undefined, warn },
          strict: true,
        })
        return {
          counters: () => {
            const { computed, needed, written } = recompute.counters
            return { computed, needed, rows: written, scored: score.counters.written }
          },
          stop: async () => {
            stop.abort()
            await done
          },
        }
      },
      maxRatio: 1.02,
      writesOnce: true,
      timeoutMs: 120_000,
      figures: 'yc.json',
    })
  },
)
