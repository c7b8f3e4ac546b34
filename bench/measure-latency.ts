/** From a committed change to its classification: idle (one change each 200 ms) and at a steady 200 changes a second. */
import { watchClassified } from './classified.ts'
import { latencyFloor } from './latency-floor.ts'
import type { Measurement } from './measurement.ts'
import { changeAtPace } from './paced-changes.ts'
import { CURRENT } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'

const REFLECT_WITHIN_MS = 600_000
const WARM_UP = 100
const IDLE = { changes: 200, everyMs: 200 }
const STEADY = { changes: 4_000, everyMs: 5 }

export const latency: Measurement = {
  name: 'latency',
  run: async (context) => {
    const { signal, say, scale } = context
    await using database = await context.createCrm('latency')
    const floor = await latencyFloor(database.pool, database.url)
    await using service = await startServiceProcess({
      url: database.url,
      slot: 'bench_latency',
      project: CURRENT,
      signal,
      say,
    })
    await service.reflected(REFLECT_WITHIN_MS)
    await using classified = await watchClassified(database.pool, database.url)
    const { companies } = context.sizes
    await changeAtPace(classified, { changes: WARM_UP, everyMs: 20, companies, signal })
    // Fewer than 200 samples hold no p99; only a run that is a trial anyway makes fewer.
    const changes = scale < 0.1 ? 50 : IDLE.changes
    say(`latency: ${changes} changes, one each ${IDLE.everyMs} ms`)
    const idle = await changeAtPace(classified, { ...IDLE, changes, companies, signal })
    const steadyChanges = context.scaled(STEADY.changes, 400)
    say(`latency: ${steadyChanges} changes, one each ${STEADY.everyMs} ms`)
    const steady = await changeAtPace(classified, { ...STEADY, changes: steadyChanges, companies, signal })
    const { peakRssMb } = await service.figures()
    return { entities: companies, floorMs: floor, idle, steady, peakRssMb }
  },
}
