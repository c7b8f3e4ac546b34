/**
 * The months of the histories: made ahead, made for what found none, and dropped when they are empty.
 *
 * Invariants: a row always finds a place, because there is a default partition behind the months; what landed there moves
 * into a month of its own in one transaction, so readers see it once at any moment. Everybody else queues up behind whoever
 * waits for a table, so no statement here waits for a lock longer than LOCK_MS: it is given up and tried again later. Each
 * step is one transaction and may be repeated; a crash leaves it done or not done.
 */
import { isLockRefused, type Pool, type Queryable, quoteTable, withTransaction } from '../db/pool.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'
import { beginOf, type Month, monthOf, suffixOf } from './months.ts'

export interface History {
  /** `schema.name` */
  readonly table: string
  /** Column that says which month a row belongs to. */
  readonly at: string
}

export const HISTORIES: readonly History[] = [
  { table: 'rescore.feature_history', at: 'recorded_at' },
  { table: 'rescore.classification_history', at: 'scored_at' },
]

export interface Partition {
  readonly history: string
  /** `schema.name` */
  readonly table: string
  /** Null: the default one. */
  readonly from: Instant | null
  readonly until: Instant | null
  /** With its index. */
  readonly bytes: number
}

const LOCK_MS = 200
/** Beside the present one. A service that is never started for longer finds the default partition. */
const MONTHS_AHEAD = 3
const VACUUMED_FROM_BYTES = 16 * 1024 * 1024

export const isDefault = ({ from }: Partition) => from === null

const PARTITIONS = `with part as (
    select p.oid, pn.nspname || '.' || p.relname as history, n.nspname || '.' || c.relname as "table", c.oid as leaf,
      regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') as bounds
    from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_class c on c.oid = i.inhrelid
    join pg_namespace n on n.oid = c.relnamespace join pg_namespace pn on pn.oid = p.relnamespace
    where p.oid = any($1::text[]::regclass[]))
  select history, "table", ${instantSql('bounds[1]::timestamptz')} as "from", ${instantSql('bounds[2]::timestamptz')} as until,
    pg_total_relation_size(leaf)::float8 as bytes
  from part order by history desc, bounds[1]::timestamptz nulls last`

/** Of all histories, the oldest first and the default one last. */
export async function readPartitions(db: Queryable): Promise<readonly Partition[]> {
  const { rows } = await db.query<Partition>(PARTITIONS, [HISTORIES.map(({ table }) => table)])
  return rows
}

/** False when the lock could not be had in time: everything is as it was. */
async function whenFree(pool: Pool, work: (db: Queryable) => Promise<void>): Promise<boolean> {
  try {
    await withTransaction(pool, {}, async (client) => {
      await client.query(`set local lock_timeout = ${LOCK_MS}`)
      await work(client)
    })
    return true
  } catch (error) {
    if (isLockRefused(error)) return false
    throw error
  }
}

/** Makes the month, with what the default partition has of it. */
function addMonth(pool: Pool, { table, at }: History, month: Month): Promise<boolean> {
  const part = quoteTable(`${table}_${suffixOf(month)}`)
  const [from, until] = [beginOf(month), beginOf(month + 1)].map((instant) => `'${formatInstant(instant)}'`)
  return whenFree(pool, async (db) => {
    // Two processes that start at once are both here.
    await db.query(`lock table only ${quoteTable(table)} in share update exclusive mode`)
    if ((await readPartitions(db)).some((one) => one.history === table && one.from === beginOf(month))) return
    await db.query(
      `create table ${part} (like ${quoteTable(table)} including defaults including constraints including indexes)`,
    )
    const strays = quoteTable(`${table}_default`)
    await db.query(`lock table ${strays} in access exclusive mode`)
    await db.query(
      `with moved as (delete from ${strays} where ${at} >= ${from} and ${at} < ${until} returning *)
       insert into ${part} select * from moved`,
    )
    await db.query(`alter table ${quoteTable(table)} attach partition ${part} for values from (${from}) to (${until})`)
  })
}

/** The present clock of the database, which also stamps the rows. */
export async function readNow(db: Queryable): Promise<Instant> {
  const { rows } = await db.query<{ now: bigint }>(`select ${instantSql('clock_timestamp()')} as now`)
  return rows[0]?.now ?? 0n
}

async function strayMonths(db: Queryable, { table, at }: History): Promise<readonly Month[]> {
  const { rows } = await db.query<{ begin: bigint }>(
    `select distinct ${instantSql(`date_trunc('month', ${at}, 'UTC')`)} as begin from ${quoteTable(`${table}_default`)} order by 1`,
  )
  return rows.map(({ begin }) => monthOf(begin))
}

/**
 * Makes the months from `now` on that are not there yet, and those of rows that found none.
 * @returns tables that were busy, so that something is left to do
 */
export async function ensureMonths(pool: Pool, now: Instant): Promise<readonly string[]> {
  const busy = new Set<string>()
  for (const history of HISTORIES) {
    const there = new Set(
      (await readPartitions(pool)).filter((one) => one.history === history.table).map(({ from }) => from),
    )
    const ahead = Array.from({ length: MONTHS_AHEAD + 1 }, (_, nr) => monthOf(now) + nr)
    for (const month of new Set([...(await strayMonths(pool, history)), ...ahead])) {
      if (there.has(beginOf(month))) continue
      if (!(await addMonth(pool, history, month))) busy.add(history.table)
    }
  }
  return [...busy]
}

/**
 * Drops the month if nothing is in it.
 * @returns `full` when something is, `busy` when it is being used
 */
export async function dropIfEmpty(
  pool: Pool,
  { history, table, bytes }: Partition,
): Promise<'dropped' | 'full' | 'busy'> {
  const isFull = async (db: Queryable) => {
    const { rows } = await db.query<{ full: boolean }>(`select exists (select from ${quoteTable(table)}) as full`)
    return rows[0]?.full === true
  }
  if (await isFull(pool)) return 'full'
  // What looks at it under the lock is to find no dead rows to read through.
  if (bytes > VACUUMED_FROM_BYTES) await pool.query(`vacuum ${quoteTable(table)}`)
  let wasFull = false
  const isDone = await whenFree(pool, async (db) => {
    await db.query(`lock table only ${quoteTable(history)}, only ${quoteTable(table)} in access exclusive mode`)
    wasFull = await isFull(db)
    if (!wasFull) await db.query(`drop table ${quoteTable(table)}`)
  })
  return isDone ? (wasFull ? 'full' : 'dropped') : 'busy'
}
