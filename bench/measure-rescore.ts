/**
 * Scoring everything: first load, a re-score in which every value changes, one in which none does; beside the batch
 * recipe's jobs on the same rows. A re-score is a restart with a higher version of every feature, so all of it is done by
 * the service's sweep: features, model, history and provenance included, which the batch jobs do not write.
 */
import type { Pool } from '../src/db/pool.ts'
import { batchJobs } from './batch.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { CURRENT, MODEL } from './project/config.ts'
import type { Variant } from './project/features.ts'
import { startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const REFLECT_WITHIN_MS = 900_000

export const rescore: Measurement = {
  name: 'rescore',
  run: async (context) => {
    const { companies } = context.sizes
    await using database = await context.createCrm('rescore')
    const initial = await scoreAll(context, database, CURRENT)
    const ours = await classifications(database.pool)
    const everyValueChanges = await scoreAll(context, database, { version: 2, shift: 1 })
    const noValueChanges = await scoreAll(context, database, { version: 3, shift: 1 })
    let agreement: Figures | null = null
    const batch = await batchJobs(context, async (pool) => {
      agreement = await compare(pool, ours)
    })
    return { entities: companies, initial, everyValueChanges, noValueChanges, batch, agreement }
  },
}

async function scoreAll(context: BenchContext, database: BenchDatabase, project: Variant): Promise<Figures> {
  const { signal, say, sizes } = context
  say(`rescore: ${sizes.companies} companies, feature version ${project.version}, values shifted by ${project.shift}`)
  await using service = await startServiceProcess({ url: database.url, slot: 'bench_rescore', project, signal, say })
  await service.reflected(REFLECT_WITHIN_MS)
  const doneMs = performance.now()
  const { cpuSeconds, peakRssMb, counts } = await service.figures()
  return {
    entitiesPerSecond: perSecond(sizes.companies, doneMs - service.startedMs),
    seconds: round((doneMs - service.startedMs) / 1000, 2),
    secondsWithStart: round((doneMs - service.forkedMs) / 1000, 2),
    featuresComputed: counts.featuresComputed,
    featureRowsWritten: counts.featureRowsWritten,
    classificationsWritten: counts.classificationsWritten,
    cpuSeconds: round(cpuSeconds, 2),
    peakRssMb,
  }
}

type Classifications = ReadonlyMap<string, { readonly label: string; readonly probability: number }>

async function classifications(pool: Pool): Promise<Classifications> {
  const { rows } = await pool.query<{ key: string; label: string; probability: number }>(
    'select key, label, probability from rescore.classification where model = $1',
    [MODEL],
  )
  return new Map(rows.map(({ key, ...rest }) => [key, rest]))
}

/** That both sides compute the same is what makes their times comparable. */
async function compare(pool: Pool, ours: Classifications): Promise<Figures> {
  const { rows } = await pool.query<{ key: string; label: string; probability: number }>(
    'select id::text as key, growth_label as label, growth_prob as probability from companies',
  )
  let missing = 0
  let labels = 0
  let largest = 0
  for (const { key, label, probability } of rows) {
    const own = ours.get(key)
    if (own === undefined) {
      missing += 1
      continue
    }
    if (own.label !== label) labels += 1
    largest = Math.max(largest, Math.abs(own.probability - probability))
  }
  return { compared: rows.length, missing, labelsThatDiffer: labels, largestDifference: round(largest, 9) }
}
