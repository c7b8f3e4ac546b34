/**
 * Sustained changes a second: writers commit as fast as they can, and the clock stops when the last change is in the
 * classifications. So the rate is of changes reflected, not of changes accepted.
 */
import type { Measurement } from './measurement.ts'
import { CURRENT } from './project/config.ts'
import { changeAtRandom, ROWS_PER_TRANSACTION } from './random-changes.ts'
import { startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const CHANGES = 60_000
const WRITERS = 4
const REFLECT_WITHIN_MS = 900_000

export const throughput: Measurement = {
  name: 'throughput',
  run: async (context) => {
    const { signal, say, sizes } = context
    await using database = await context.createCrm('throughput')
    const options = { url: database.url, slot: 'bench_throughput', project: CURRENT, signal, say }
    await using service = await startServiceProcess(options)
    await service.reflected(REFLECT_WITHIN_MS)
    await changeAtRandom(database.pool, sizes, { transactions: 50, writers: 1, signal })
    await service.reflected(REFLECT_WITHIN_MS)
    const transactions = Math.ceil(context.scaled(CHANGES, 1_000) / ROWS_PER_TRANSACTION)
    say(`throughput: ${transactions} transactions of ${ROWS_PER_TRANSACTION} rows by ${WRITERS} writers`)
    const before = await service.figures()
    const startedMs = performance.now()
    const changes = await changeAtRandom(database.pool, sizes, { transactions, writers: WRITERS, signal })
    const writtenMs = performance.now() - startedMs
    await service.reflected(REFLECT_WITHIN_MS)
    const reflectedMs = performance.now() - startedMs
    const after = await service.figures()
    return {
      changes,
      changesPerSecond: perSecond(changes, reflectedMs),
      writtenPerSecond: perSecond(changes, writtenMs),
      seconds: round(reflectedMs / 1000, 2),
      batches: after.counts.batches - before.counts.batches,
      entitiesHandled: after.counts.entitiesHandled - before.counts.entitiesHandled,
      classificationsWritten: after.counts.classificationsWritten - before.counts.classificationsWritten,
      cpuSeconds: round(after.cpuSeconds - before.cpuSeconds, 2),
      peakRssMb: after.peakRssMb,
    }
  },
}
