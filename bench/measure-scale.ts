/** Whether one change costs the same among many entities as among few: the same idle latency at two sizes. */
import { watchClassified } from './classified.ts'
import type { BenchContext } from './context.ts'
import type { Measurement } from './measurement.ts'
import { changeAtPace, type PacedFigures } from './paced-changes.ts'
import { CURRENT } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'
import { round } from './statistics.ts'

const SMALL = 10_000
const LARGE = 1_000_000
const CHILDREN = 5_000
const REFLECT_WITHIN_MS = 3_600_000
const WARM_UP = 100
const CHANGES = 300
const EVERY_MS = 50

export const scale: Measurement = {
  name: 'scale',
  run: async (context) => {
    const small = await changesAmong(context, context.scaled(SMALL, 500))
    const large = await changesAmong(context, context.scaled(LARGE, 5_000))
    return {
      small,
      large,
      ratioOfMedians: round(large.fromSendMs.p50 / small.fromSendMs.p50, 2),
      ratioOfP99: round(large.fromSendMs.p99 / small.fromSendMs.p99, 2),
    }
  },
}

async function changesAmong(
  context: BenchContext,
  companies: number,
): Promise<PacedFigures & { readonly entities: number; readonly peakRssMb: number }> {
  const { signal, say } = context
  await using database = await context.createCrm('scale', { companies, contacts: CHILDREN, deals: CHILDREN })
  const options = { url: database.url, slot: 'bench_scale', project: CURRENT, signal, say }
  await using service = await startServiceProcess(options)
  await service.reflected(REFLECT_WITHIN_MS)
  // What the first load left to be written and cleaned would otherwise be measured with the larger size.
  await database.pool.query('vacuum analyze')
  await database.pool.query('checkpoint')
  await using classified = await watchClassified(database.pool, database.url)
  const pace = { everyMs: EVERY_MS, companies, signal }
  await changeAtPace(classified, { ...pace, changes: WARM_UP })
  say(`scale: ${CHANGES} changes among ${companies} companies`)
  const figures = await changeAtPace(classified, { ...pace, changes: CHANGES })
  const { peakRssMb } = await service.figures()
  return { entities: companies, ...figures, peakRssMb }
}
