/** Memory of the service while one transaction changes a million rows. */
import type { Measurement } from './measurement.ts'
import { CURRENT } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const ROWS = 1_000_000
const REFLECT_WITHIN_MS = 1_800_000

export const memory: Measurement = {
  name: 'memory',
  run: async (context) => {
    const { signal, say, sizes } = context
    const rows = context.scaled(ROWS, 1_000)
    await using database = await context.createCrm('memory', { ...sizes, contacts: rows })
    const options = { url: database.url, slot: 'bench_memory', project: CURRENT, signal, say }
    {
      await using first = await startServiceProcess(options)
      await first.reflected(REFLECT_WITHIN_MS)
    }
    // A process of its own, so that the first load is not in its peak.
    await using service = await startServiceProcess(options)
    await service.reflected(REFLECT_WITHIN_MS)
    const before = await service.figures()
    say(`memory: one transaction of ${rows} rows`)
    const startedMs = performance.now()
    await database.pool.query(`update public.contacts set last_activity_at = last_activity_at + interval '1 hour'`)
    const committedMs = performance.now()
    await service.reflected(REFLECT_WITHIN_MS)
    const reflectedMs = performance.now()
    const after = await service.figures()
    return {
      rows,
      rssBeforeMb: before.rssMb,
      peakRssMb: after.peakRssMb,
      secondsToCommit: round((committedMs - startedMs) / 1000, 2),
      secondsFromCommitToReflected: round((reflectedMs - committedMs) / 1000, 2),
      rowsPerSecond: perSecond(rows, reflectedMs - startedMs),
      entitiesHandled: after.counts.entitiesHandled - before.counts.entitiesHandled,
    }
  },
}
