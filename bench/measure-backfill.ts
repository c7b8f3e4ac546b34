/**
 * Backfills at three sizes: how fast they go, and what live changes notice of them.
 *
 * At each size, twice in turn: 200 changes a second with nothing else to do, and the same while a backfill of every feature
 * runs. Then backfills alone: every feature where nothing differs, one of the 24 where nothing differs, and that one where
 * every value does (the column was emptied for a tenth of the entities). Also how long a plan takes to count and to try a
 * sample, and the dry run of a backfill with a condition.
 */
import { createBackfill, measureBackfill } from '../src/backfill/create.ts'
import { act, type Backfill, doneCount, readBackfill } from '../src/backfill/job.ts'
import { sleep } from '../src/db/backoff.ts'
import { quoteIdent, quoteTable } from '../src/db/pool.ts'
import { compileGraph } from '../src/graph/compile.ts'
import type { EntityNode } from '../src/graph/graph.ts'
import { makePlan } from '../src/plan/plan.ts'
import { loadModels } from '../src/score/registry.ts'
import { type Classified, watchClassified } from './classified.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { changeAtPace } from './paced-changes.ts'
import { benchProject, CURRENT } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const SIZES = [10_000, 100_000, 1_000_000]
const CHILDREN_EACH = 2
const REFLECT_WITHIN_MS = 3_600_000
const LOOK_EVERY_MS = 100
const STEADY = { changes: 2_000, everyMs: 5 }
const FEATURE = 'n_contacts'
const ROUNDS = 2
/** Every so many-th entity loses a value: enough to time, and its scoring does not take minutes. */
const EMPTIED_OF = 10
const PLAN_SAMPLE = 1_000

function companies(): EntityNode {
  const node = compileGraph(benchProject(CURRENT)).entities.get('company')
  if (node === undefined) throw new TypeError('The bench project has companies.')
  return node
}

async function start(
  { pool }: BenchDatabase,
  features: readonly string[],
  policy: 'all' | 'missing',
): Promise<Backfill> {
  const request = { policy, features, condition: null, ids: null, priority: null, rate: null } as const
  return createBackfill(pool, companies(), request, { reason: 'asked', state: 'running' })
}

async function ended({ signal }: BenchContext, { pool }: BenchDatabase, { id }: Backfill): Promise<Backfill> {
  for (;;) {
    const now = await readBackfill(pool, id)
    if (now.state === 'failed') throw new Error(`Backfill ${id} failed: ${now.failure}`)
    if (now.state === 'done') return now
    await sleep(LOOK_EVERY_MS, signal)
  }
}

async function alone(
  context: BenchContext,
  database: BenchDatabase,
  features: readonly string[],
  policy: 'all' | 'missing' = 'all',
): Promise<Figures> {
  const startedMs = performance.now()
  const done = await ended(context, database, await start(database, features, policy))
  const ms = performance.now() - startedMs
  return { entitiesPerSecond: perSecond(doneCount(done), ms), seconds: round(ms / 1_000, 2), changed: done.changed }
}

type LiveFigures = Awaited<ReturnType<typeof changeAtPace>>

function latency(context: BenchContext, classified: Classified, size: number): Promise<LiveFigures> {
  const changes = context.scaled(STEADY.changes, 200)
  return changeAtPace(classified, { ...STEADY, changes, companies: size, signal: context.signal })
}

/** The backfill goes on as long as the changes do: started again where it ends before, cancelled where it would go on. */
async function beside(context: BenchContext, database: BenchDatabase, classified: Classified, size: number) {
  const { pool } = database
  const startedMs = performance.now()
  let isOver = false
  let current = await start(database, [], 'all')
  let entities = 0
  const backfills = async () => {
    while (!isOver) {
      const now = await readBackfill(pool, current.id)
      if (now.state === 'failed') throw new Error(`Backfill ${now.id} failed: ${now.failure}`)
      if (now.state === 'done') {
        entities += doneCount(now)
        current = await start(database, [], 'all')
      } else await sleep(LOOK_EVERY_MS, context.signal)
    }
  }
  const running = backfills()
  const live = await latency(context, classified, size)
  isOver = true
  await running
  const ms = performance.now() - startedMs
  const last = await readBackfill(pool, current.id)
  if (last.state === 'running') await act(pool, last.id, 'cancel')
  return { live, backfillEntitiesPerSecond: perSecond(entities + doneCount(last), ms) }
}

/** In turn, so that a machine that is slow for a while is so for both. */
async function liveFigures(context: BenchContext, database: BenchDatabase, classified: Classified, size: number) {
  const rounds: { calm: LiveFigures; beside: { live: LiveFigures; backfillEntitiesPerSecond: number } }[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const calm = await latency(context, classified, size)
    rounds.push({ calm, beside: await beside(context, database, classified, size) })
  }
  const calmP99 = mean(rounds.map(({ calm }) => calm.fromCommitMs.p99))
  const besideP99 = mean(rounds.map(({ beside }) => beside.live.fromCommitMs.p99))
  return { rounds, calmP99, besideP99, p99OfCalm: round(besideP99 / calmP99, 2) }
}

const mean = (values: readonly number[]) => round(values.reduce((sum, value) => sum + value, 0) / values.length, 2)

async function planTime({ pool }: BenchDatabase, { signal }: BenchContext): Promise<Figures> {
  const config = benchProject({ version: 2, shift: 1 })
  await using models = await loadModels(config.models)
  const graph = compileGraph(config)
  const timed = async (sample: number) => {
    const startedMs = performance.now()
    await makePlan({ pool, graph, models, sample, approveAbove: 0, signal })
    return round(performance.now() - startedMs, 0)
  }
  return { countMs: await timed(0), withSampleOf1000Ms: await timed(PLAN_SAMPLE) }
}

/** What `backfill --where … --dry-run` takes: no index helps with the condition. */
async function dryRunTime({ pool }: BenchDatabase): Promise<Figures> {
  const everyOne = { policy: 'all', features: [], ids: null, priority: null, rate: null } as const
  const startedMs = performance.now()
  const { count, isExact } = await measureBackfill(pool, companies(), { ...everyOne, condition: 'team_size % 100 = 7' })
  return { count, isExact, ms: round(performance.now() - startedMs, 0) }
}

async function measure(context: BenchContext, size: number): Promise<Figures> {
  const { signal, say } = context
  const children = size * CHILDREN_EACH
  const label = `backfill_${size}`
  await using database = await context.createCrm(label, { companies: size, contacts: children, deals: children })
  await using service = await startServiceProcess({
    url: database.url,
    slot: `bench_${label}`,
    project: CURRENT,
    signal,
    say,
  })
  await service.reflected(REFLECT_WITHIN_MS)
  await database.pool.query('vacuum analyze')
  await database.pool.query('checkpoint')
  await using classified = await watchClassified(database.pool, database.url)
  say(`backfill: ${size} companies, live changes, calm and beside a backfill`)
  await changeAtPace(classified, { changes: 100, everyMs: 20, companies: size, signal })
  const live = await liveFigures(context, database, classified, size)
  await service.reflected(REFLECT_WITHIN_MS)
  say(`backfill: ${size} companies, alone`)
  const every = await alone(context, database, [])
  const one = await alone(context, database, [FEATURE])
  const table = quoteTable('rescore.features_company')
  await database.pool.query(`update ${table} set ${quoteIdent(FEATURE)} = null where mod(key, ${EMPTIED_OF}) = 0`)
  await service.reflected(REFLECT_WITHIN_MS)
  const oneChanging = await alone(context, database, [FEATURE], 'missing')
  await service.reflected(REFLECT_WITHIN_MS)
  const plan = await planTime(database, context)
  const dryRun = await dryRunTime(database)
  const { peakRssMb } = await service.figures()
  return { entities: size, live, every, one, oneChanging, plan, dryRun, peakRssMb }
}

export const backfill: Measurement = {
  name: 'backfill',
  run: async (context) => {
    const measured: Record<string, Figures> = {}
    for (const size of SIZES) measured[`at${size}`] = await measure(context, context.scaled(size, 200))
    return measured
  },
}
