/** What there is of the past, what the rule says of it, and what its next run would do. Read-only. */
import { type Queryable, quoteTable } from '../db/pool.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'
import { HISTORIES, type Partition, readPartitions } from './partitions.ts'
import { entitiesOfThePast, monthsBefore, readCuts } from './retention.ts'
import { cutOf, type Rule } from './rule.ts'

export interface LastRun {
  readonly beganAt: string
  /** Of the last that came to its end, as what follows; null: none did. */
  readonly endedAt: string | null
  readonly rowsFolded: number
  readonly dropped: readonly string[]
  readonly error: string | null
}

export interface PastSummary {
  readonly partitions: number
  /** Months, bases and indexes. */
  readonly bytes: number
  /** The oldest month there is; null: none. */
  readonly oldestMonth: string | null
  /** Rows whose month was not there, counted up to 10,000. */
  readonly strays: number
  /** By entity; those of which everything is kept are left out. */
  readonly keptFrom: Readonly<Record<string, string>>
  readonly lastRun: LastRun | null
}

const COUNTED_AT_MOST = 10_000
const BASES = ['rescore.feature_base', 'rescore.classification_base']

const LAST_RUN = `select ${['began_at', 'ended_at'].map((column) => `${instantSql(column)} as ${column}`).join(', ')},
  rows_folded::float8 as rows_folded, dropped, error from rescore.history_run`

interface RunRow {
  readonly began_at: bigint
  readonly ended_at: bigint | null
  readonly rows_folded: number
  readonly dropped: readonly string[]
  readonly error: string | null
}

const text = (instant: Instant | null) => (instant === null ? null : formatInstant(instant))

async function readLastRun(db: Queryable): Promise<LastRun | null> {
  const { rows } = await db.query<RunRow>(LAST_RUN)
  const [row] = rows
  if (row === undefined) return null
  const { began_at, ended_at, rows_folded: rowsFolded, dropped, error } = row
  return { beganAt: formatInstant(began_at), endedAt: text(ended_at), rowsFolded, dropped, error }
}

export async function readStrays(db: Queryable): Promise<number> {
  const counts = HISTORIES.map(
    ({ table }) => `(select count(*) from (select from ${table}_default limit ${COUNTED_AT_MOST}) rows)`,
  )
  const { rows } = await db.query<{ strays: number }>(`select (${counts.join(' + ')})::float8 as strays`)
  return rows[0]?.strays ?? 0
}

export async function readPastSummary(db: Queryable): Promise<PastSummary> {
  const partitions = await readPartitions(db)
  const bases = await db.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(t::regclass))::float8 as bytes from unnest($1::text[]) as t`,
    [BASES],
  )
  const kept = await db.query<{ entity: string; from: bigint }>(
    `select entity, ${instantSql('kept_from')} as "from" from rescore.history_kept order by entity`,
  )
  const [oldest] = partitions.flatMap(({ from }) => from ?? []).sort((a, b) => (a < b ? -1 : 1))
  return {
    partitions: partitions.length,
    bytes: partitions.reduce((sum, { bytes }) => sum + bytes, bases.rows[0]?.bytes ?? 0),
    oldestMonth: oldest === undefined ? null : formatInstant(oldest).slice(0, 7),
    strays: await readStrays(db),
    keptFrom: Object.fromEntries(kept.rows.map(({ entity, from }) => [entity, formatInstant(from)])),
    lastRun: await readLastRun(db),
  }
}

export interface EntityPast {
  readonly entity: string
  /** As the rule says now; null: for ever. */
  readonly keepsFrom: string | null
  /** As far as folding has come; null: everything is there. */
  readonly keptFrom: string | null
  /** Rows that the next run folds, and the entities they are of. */
  readonly older: { readonly rows: number; readonly keys: number }
}

export interface RetentionPlan {
  readonly entities: readonly EntityPast[]
  readonly partitions: readonly Partition[]
  /** Tables of which nothing is left then, but for rows whose times are out of order. */
  readonly drops: readonly string[]
}

const COUNT = `select count(*)::float8 as rows, count(distinct key)::float8 as keys from (
  ${HISTORIES.map(({ table, at }) => `select key from ${table} where entity = $1 and ${at} < $2::timestamptz`).join(' union all ')}) older`

/** Reads everything older than the rule keeps. */
export async function planRetention(db: Queryable, rule: Rule, now: Instant): Promise<RetentionPlan> {
  const { keptFrom } = await readPastSummary(db)
  const cuts = new Map((await readCuts(db, rule, now)).map(({ entity, at }) => [entity, at]))
  const entities: EntityPast[] = []
  for (const entity of await entitiesOfThePast(db)) {
    const cut = cuts.get(entity)
    const counted =
      cut === undefined ? [] : (await db.query<EntityPast['older']>(COUNT, [entity, formatInstant(cut)])).rows
    const older = counted[0] ?? { rows: 0, keys: 0 }
    const keepsFrom = text(cutOf(rule, entity, now))
    entities.push({ entity, keepsFrom, keptFrom: keptFrom[entity] ?? null, older })
  }
  const partitions = await readPartitions(db)
  const drops: string[] = []
  for (const month of monthsBefore(partitions, rule, now)) {
    if (await isEmptied(db, month, cuts)) drops.push(month.table)
  }
  return { entities, partitions, drops }
}

/** Whether every row in it is of an entity that keeps nothing of that time. */
async function isEmptied(db: Queryable, { history, table }: Partition, cuts: ReadonlyMap<string, Instant>) {
  const at = HISTORIES.find((one) => one.table === history)?.at ?? ''
  const { rows } = await db.query<{ emptied: boolean }>(
    `select not exists (select from ${quoteTable(table)} m where not exists (
       select from unnest($1::text[], $2::timestamptz[]) as c(entity, cut) where c.entity = m.entity and m.${at} < c.cut)) as emptied`,
    [[...cuts.keys()], [...cuts.values()].map(formatInstant)],
  )
  return rows[0]?.emptied === true
}
