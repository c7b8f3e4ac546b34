/**
 * Whether live changes wait behind a backfill: the same load, 200 changes a second, in windows that take turns in one run,
 * calm, while a backfill runs that finds nothing different, and while one runs that moves every value and every score.
 *
 * Windows that take turns meet the same machine, whatever else it does. What a change waits for is seen twice: at the
 * feature row and at the classification.
 */
import { createBackfill } from '../src/backfill/create.ts'
import { act, type Backfill, doneCount, type Policy, readBackfill } from '../src/backfill/job.ts'
import { sleep } from '../src/db/backoff.ts'
import { quoteIdent, quoteTable } from '../src/db/pool.ts'
import { compileGraph } from '../src/graph/compile.ts'
import type { EntityNode } from '../src/graph/graph.ts'
import { type Classified, type Sample, watchClassified } from './classified.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { samplesAtPace } from './paced-changes.ts'
import { benchProject, CURRENT } from './project/config.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'
import { perSecond, round, summarise } from './statistics.ts'

const REFLECT_WITHIN_MS = 900_000
const LOOK_EVERY_MS = 50
const ROUNDS = 6
/** Changes a window: its 2.5 s are short against what else a shared machine does. */
const WINDOW = { changes: 500, everyMs: 5 }
const WARM_UP = { changes: 400, everyMs: 10 }
/** Every tree of the model asks for it, so that scores move with it. */
const FEATURE = 'n_contacts'

const KINDS = ['calm', 'unchanging', 'changing'] as const
type Kind = (typeof KINDS)[number]

class Windows {
  readonly samples: Sample[] = []
  unseen = 0
  entities = 0
  ms = 0

  figures(calm: Windows): Figures {
    const of = (windows: Windows, what: (sample: Sample) => number | null) =>
      summarise(windows.samples.flatMap((sample) => what(sample) ?? []))
    const label = ({ fromCommit }: Sample) => fromCommit
    const features = ({ toFeatures }: Sample) => toFeatures
    const ratio = (what: (sample: Sample) => number | null) => round(of(this, what).p99 / of(calm, what).p99, 2)
    return {
      commitToFeaturesMs: of(this, features),
      commitToLabelMs: of(this, label),
      p99ToCalm: { features: ratio(features), label: ratio(label) },
      unseen: this.unseen,
      backfillEntitiesPerSecond: perSecond(this.entities, this.ms),
    }
  }
}

export interface ChangingSetting {
  readonly context: BenchContext
  readonly database: BenchDatabase
  readonly service: ServiceProcess
}

function companies(): EntityNode {
  const node = compileGraph(benchProject(CURRENT)).entities.get('company')
  if (node === undefined) throw new TypeError('The bench project has companies.')
  return node
}

async function start({ pool }: BenchDatabase, policy: Policy): Promise<Backfill> {
  const features = policy === 'missing' ? [FEATURE] : []
  const request = { policy, features, condition: null, ids: null, priority: null, rate: null }
  return createBackfill(pool, companies(), request, { reason: 'asked', state: 'running' })
}

/** Runs for as long as `during` does: begun again where it ends before. @returns entities done */
async function beside(
  { database, context: { signal } }: ChangingSetting,
  policy: Policy,
  during: () => Promise<void>,
): Promise<number> {
  const { pool } = database
  const first = await start(database, policy)
  const begun = [first]
  while (doneCount(await readBackfill(pool, first.id)) === 0) await sleep(LOOK_EVERY_MS, signal)
  const over = new AbortController()
  const goOn = async () => {
    while (!over.signal.aborted) {
      const last = begun.at(-1)
      if (last === undefined || (await readBackfill(pool, last.id)).state === 'done')
        begun.push(await start(database, policy))
      // Rejects only when it is over, which the loop's condition sees.
      await sleep(LOOK_EVERY_MS, over.signal).catch(() => undefined)
    }
  }
  const goingOn = goOn()
  try {
    await during()
  } finally {
    over.abort()
    await goingOn
  }
  const ended = await Promise.all(begun.map(({ id }) => readBackfill(pool, id)))
  for (const { id, state, failure } of ended) {
    if (state === 'failed') throw new Error(`Backfill ${id} failed: ${failure}`)
    if (state === 'running') await act(pool, id, 'cancel')
  }
  return ended.reduce((sum, backfill) => sum + doneCount(backfill), 0)
}

/** Every value of the feature is gone, and every score made without it. */
async function spoil({ database, service }: ChangingSetting): Promise<void> {
  await database.pool.query(`update ${quoteTable('rescore.features_company')} set ${quoteIdent(FEATURE)} = null`)
  await service.reflected(REFLECT_WITHIN_MS)
}

async function window(setting: ChangingSetting, classified: Classified, kind: Kind, into: Windows): Promise<void> {
  const { context, service } = setting
  if (kind === 'changing') await spoil(setting)
  const changes = context.scaled(WINDOW.changes, 100)
  const during = async () => {
    const pace = { ...WINDOW, changes, companies: context.sizes.companies, signal: context.signal }
    const { samples, unseen, tookMs } = await samplesAtPace(classified, pace)
    into.samples.push(...samples)
    into.unseen += unseen
    into.ms += tookMs
  }
  if (kind === 'calm') await during()
  else into.entities += await beside(setting, kind === 'changing' ? 'missing' : 'all', during)
  await service.reflected(REFLECT_WITHIN_MS)
}

/** @param setting a service that has caught up */
export async function measureChanging(setting: ChangingSetting): Promise<Figures> {
  const { context, database, service } = setting
  const { signal, say, sizes } = context
  await database.pool.query('vacuum analyze')
  await database.pool.query('checkpoint')
  await using classified = await watchClassified(database.pool, database.url, true)
  await samplesAtPace(classified, { ...WARM_UP, companies: sizes.companies, signal })
  const measured = { calm: new Windows(), unchanging: new Windows(), changing: new Windows() }
  for (let round = 1; round <= ROUNDS; round += 1) {
    say(`changing: round ${round} of ${ROUNDS}`)
    for (const kind of KINDS) await window(setting, classified, kind, measured[kind])
  }
  const { calm } = measured
  const { peakRssMb } = await service.figures()
  const figures = Object.fromEntries(KINDS.map((kind) => [kind, measured[kind].figures(calm)]))
  return { entities: sizes.companies, ...figures, peakRssMb }
}

export const changing: Measurement = {
  name: 'changing',
  run: async (context) => {
    const { signal, say } = context
    await using database = await context.createCrm('changing')
    const order = { url: database.url, slot: 'bench_changing', project: CURRENT }
    await using service = await startServiceProcess({ ...order, signal, say })
    await service.reflected(REFLECT_WITHIN_MS)
    return await measureChanging({ context, database, service })
  },
}
