/**
 * Timers: how many fire a second when all are due at once, and how late a single one is beside live changes.
 *
 * The project's 24 features and one over a window of a week. For the storm one deal of every company leaves the window at
 * the same instant; for the lateness deals leave it one by one while 200 changes a second go through. A timer is late by
 * what history says: from its instant to the time its value was recorded.
 */
import { sleep } from '../src/db/backoff.ts'
import { watchClassified } from './classified.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { changeAtPace } from './paced-changes.ts'
import { AGING, WINDOW_MS } from './project/config.ts'
import { startServiceProcess } from './service-process.ts'
import { perSecond, round, summarise } from './statistics.ts'

const SIZES = [10_000, 100_000]
const SINGLES = 400
const SINGLE_EVERY_MS = 25
const LIVE_EVERY_MS = 5
const REFLECT_WITHIN_MS = 3_600_000
const LOOK_EVERY_MS = 20
/** Between what is written and its instant: long enough to be recomputed before. */
const AHEAD_MS = { storm: 5_000, singles: 3_000 }
const FIRST_ID = 900_000_000

async function remaining({ pool }: BenchDatabase): Promise<number> {
  const { rows } = await pool.query<{ left: number }>(
    'select count(*)::float8 as left from rescore.timer where due_at <= clock_timestamp()',
  )
  return rows[0]?.left ?? 0
}

async function untilFired(database: BenchDatabase, signal: AbortSignal): Promise<void> {
  while ((await remaining(database)) > 0) await sleep(LOOK_EVERY_MS, signal)
}

/** Deals `from` onwards, one a company, that leave the window at `firstMs` and then every `everyMs`. */
async function leave({ pool }: BenchDatabase, from: number, count: number, firstMs: number, everyMs: number) {
  await pool.query(
    `insert into public.deals (id, company_id, amount, stage, created_at)
     select $1 + i, i, 1, 'open', to_timestamp(($3::float8 - $5 + (i - 1) * $4::float8) / 1000)
     from generate_series(1, $2::integer) i`,
    [from, count, firstMs, everyMs, WINDOW_MS],
  )
}

async function databaseNow({ pool }: BenchDatabase): Promise<number> {
  const { rows } = await pool.query<{ now: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
  )
  return rows[0]?.now ?? 0
}

async function storm(context: BenchContext, database: BenchDatabase, size: number, reflected: () => Promise<void>) {
  // Written as far ahead as recomputing them takes.
  const beforeMs = performance.now()
  await leave(database, FIRST_ID, size, (await databaseNow(database)) + 1_000_000_000, 0)
  await reflected()
  const tookMs = performance.now() - beforeMs
  const dueMs = (await databaseNow(database)) + 2 * tookMs + AHEAD_MS.storm
  await database.pool.query(
    'update public.deals set created_at = to_timestamp(($2::float8 - $3) / 1000) where id > $1',
    [FIRST_ID, dueMs, WINDOW_MS],
  )
  await reflected()
  const aheadMs = dueMs - (await databaseNow(database))
  if (aheadMs < 0) throw new Error(`The storm broke ${round(-aheadMs)} ms before everything was ready.`)
  await sleep(aheadMs, context.signal)
  const startedMs = performance.now()
  await untilFired(database, context.signal)
  const ms = performance.now() - startedMs
  return { timersPerSecond: perSecond(size, ms), seconds: round(ms / 1_000, 2) }
}

async function lateness(database: BenchDatabase, sinceMs: number, count: number): Promise<Figures> {
  const { rows } = await database.pool.query<{ ms: number }>(
    `select extract(epoch from recorded_at - valid_at)::float8 * 1000 as ms from rescore.feature_history
     where causes->0->>'op' = 'time' and valid_at >= to_timestamp($1::float8 / 1000)`,
    [sinceMs],
  )
  return { lateMs: summarise(rows.map(({ ms }) => ms)), missing: count - rows.length }
}

async function measure(context: BenchContext, size: number): Promise<Figures> {
  const { signal, say } = context
  const label = `timers_${size}`
  await using database = await context.createCrm(label, { companies: size, contacts: size, deals: size })
  await using service = await startServiceProcess({
    url: database.url,
    slot: `bench_${label}`,
    project: AGING,
    signal,
    say,
  })
  const reflected = () => service.reflected(REFLECT_WITHIN_MS)
  await reflected()
  await database.pool.query('vacuum analyze')
  say(`timers: ${size} due at once`)
  const atOnce = await storm(context, database, size, reflected)
  await reflected()
  say(`timers: single ones beside live changes, of ${size}`)
  await using classified = await watchClassified(database.pool, database.url)
  const singles = Math.min(SINGLES, size)
  const firstMs = (await databaseNow(database)) + AHEAD_MS.singles
  await leave(database, 2 * FIRST_ID, singles, firstMs, SINGLE_EVERY_MS)
  const changes = Math.ceil((AHEAD_MS.singles + singles * SINGLE_EVERY_MS) / LIVE_EVERY_MS)
  const live = await changeAtPace(classified, { changes, everyMs: LIVE_EVERY_MS, companies: size, signal })
  await untilFired(database, signal)
  const single = await lateness(database, firstMs, singles)
  return { entities: size, atOnce, single, live: { ...live } }
}

export const timers: Measurement = {
  name: 'timers',
  run: async (context) => {
    const measured: Record<string, Figures> = {}
    for (const size of SIZES) measured[`at${size}`] = await measure(context, context.scaled(size, 200))
    return measured
  },
}
