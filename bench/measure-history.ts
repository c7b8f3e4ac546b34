/**
 * Histories by month: what an insert costs with and without months, and how fast the past is folded and read.
 *
 * Inserts: the same rows in the same pieces, one after the other into a table without months and into the history. Folding:
 * a year of moves of every company, of which all but a month is older than the rule; what is read before and after.
 */
import { migrate } from '../src/db/migrate.ts'
import { formatInstant } from '../src/history/instant.ts'
import { beginOf, monthOf } from '../src/history/months.ts'
import { ensureMonths, readNow, readPartitions } from '../src/history/partitions.ts'
import { readSteps } from '../src/history/read.ts'
import { retain } from '../src/history/retention.ts'
import { ruleOf } from '../src/history/rule.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { perSecond, round } from './statistics.ts'

const INSERTED = 400_000
const PIECE = 1_000
const KEYS = 1_000_000
const MOVES_EACH = 3
const MONTHS = 12
const READ_KEYS = 1_000
const READ_PIECES = 20

const columns = 'entity, key, op, changed, causes, cause_count, epoch, snap_lsn, valid_at'
const CHANGED = `'{"n_contacts":{"from":3,"to":4},"amount_won":{"from":10.5,"to":12.25}}'`

async function insertsInto({ pool }: BenchDatabase, table: string, pieces: number): Promise<number> {
  const startedMs = performance.now()
  for (let piece = 0; piece < pieces; piece += 1) {
    await pool.query(
      `insert into ${table} (${columns}) select 'company', (i * 7919 % 1000003)::text, 'update', ${CHANGED}::json,
         '[]', 0, 1, '0/1', now() from generate_series($1::integer, $2::integer) i`,
      [piece * PIECE, (piece + 1) * PIECE - 1],
    )
  }
  return performance.now() - startedMs
}

async function inserts(context: BenchContext): Promise<Figures> {
  await using database = await context.createEmpty('history_inserts')
  const { pool } = database
  await migrate(pool)
  await ensureMonths(pool, await readNow(pool))
  await pool.query(
    `create table public.whole (like rescore.feature_history including defaults);
     alter table public.whole add primary key (entity, key, id)`,
  )
  const pieces = Math.ceil(context.scaled(INSERTED, 10_000) / PIECE / 4)
  const ms = { whole: 0, byMonth: 0 }
  // In turns, so that what else the machine does falls on both.
  for (let turn = 0; turn < 4; turn += 1) {
    ms.whole += await insertsInto(database, 'public.whole', pieces)
    ms.byMonth += await insertsInto(database, 'rescore.feature_history', pieces)
  }
  const rows = pieces * PIECE * 4
  return {
    rows,
    withoutMonthsPerSecond: perSecond(rows, ms.whole),
    byMonthPerSecond: perSecond(rows, ms.byMonth),
    byMonthOfWithout: round(ms.whole / ms.byMonth, 3),
  }
}

async function reading({ pool }: BenchDatabase, keys: number): Promise<Figures> {
  const until = await readNow(pool)
  let steps = 0
  const startedMs = performance.now()
  for (let piece = 0; piece < READ_PIECES; piece += 1) {
    const asked = Array.from({ length: READ_KEYS }, (_, nr) => String((piece * READ_KEYS * 31 + nr * 977) % keys))
    await readSteps(pool, { entity: 'company', keys: asked, until }, () => {
      steps += 1
    })
  }
  const ms = performance.now() - startedMs
  return { keysPerSecond: perSecond(READ_PIECES * READ_KEYS, ms), steps }
}

async function folding(context: BenchContext): Promise<Figures> {
  const { say, signal } = context
  const keys = context.scaled(KEYS, 2_000)
  await using database = await context.createEmpty('history_folding')
  const { pool } = database
  await migrate(pool)
  const now = await readNow(pool)
  const begin = monthOf(now) - MONTHS
  for (let month = begin; month <= monthOf(now); month += 1) await ensureMonths(pool, beginOf(month))
  say(`history: ${keys} keys, ${keys * MOVES_EACH} rows over ${MONTHS} months`)
  for (let nr = 0; nr < MOVES_EACH; nr += 1) {
    await pool.query(
      `insert into rescore.feature_history (${columns}, recorded_at)
       select 'company', i::text, $2, ${CHANGED}::json, '[]', 0, 1, '0/1', at, at
       from generate_series(0, $1::integer - 1) i,
         lateral (select $3::timestamptz + ((i * 13 % ${MONTHS - 1}) * ${MOVES_EACH} + $4) * interval '9 days' as at) t`,
      [keys, nr === 0 ? 'insert' : 'update', formatInstant(beginOf(begin)), nr],
    )
  }
  await pool.query('vacuum analyze')
  const before = await reading(database, keys)
  const sizeOf = async () => {
    const { rows } = await pool.query<{ bytes: number }>(
      `select pg_total_relation_size('rescore.feature_base')::float8 as bytes`,
    )
    return round(
      ((await readPartitions(pool)).reduce((sum, { bytes }) => sum + bytes, 0) + (rows[0]?.bytes ?? 0)) / 1e6,
      1,
    )
  }
  const mbBefore = await sizeOf()
  const startedMs = performance.now()
  const rule = ruleOf({ keep: '1 month' }, [])
  const { rowsFolded, dropped, waiting } = await retain({ pool, rule, now, signal, share: 1 })
  const ms = performance.now() - startedMs
  await pool.query('vacuum analyze')
  return {
    keys,
    rowsFolded,
    rowsPerSecond: perSecond(rowsFolded, ms),
    seconds: round(ms / 1_000, 1),
    partitionsDropped: dropped.length,
    left: waiting.length,
    mbBefore,
    mbAfter: await sizeOf(),
    read: { before, after: await reading(database, keys) },
    rssMb: round(process.memoryUsage().rss / 1e6, 0),
  }
}

export const history: Measurement = {
  name: 'history',
  run: async (context) => ({ inserts: await inserts(context), folding: await folding(context) }),
}
