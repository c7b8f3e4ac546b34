/**
 * One run of the rule: what is older is folded, and months that are empty then are dropped whole.
 *
 * Invariants: first it is said from when on the past is kept, then anything is folded; a month goes only once nothing is in
 * it. Killed anywhere, what was done stands and the next run goes on. Live work comes first: between two pieces it rests as
 * long as the piece took, and no table is waited for.
 */
import { sleep } from '../db/backoff.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import { type Cut, foldClassifications, foldFeatures, type Piece } from './fold-pieces.ts'
import { formatInstant, type Instant } from './instant.ts'
import { moveKeptFrom } from './kept.ts'
import { dropIfEmpty, ensureMonths, HISTORIES, isDefault, type Partition, readPartitions } from './partitions.ts'
import { cutOf, type Rule } from './rule.ts'

export interface RetentionOptions {
  readonly pool: Pool
  readonly rule: Rule
  /** As the clock of the database says. */
  readonly now: Instant
  readonly signal: AbortSignal
  /** Share of the time that is spent folding, up to 1. Default: half. */
  readonly share?: number
  /** Named points where a test stops the world. */
  readonly faults?: { hit(point: string): Promise<void> | void } | undefined
}

export interface RetentionRun {
  readonly rowsFolded: number
  /** Tables. */
  readonly dropped: readonly string[]
  /** What has to wait for the next run, a sentence each. */
  readonly waiting: readonly string[]
}

const LONGEST_REST_MS = 2_000

/** Entities that have a past, deployed or not; each found by one step in the index. */
const ENTITIES = HISTORIES.map(
  ({ table }) => `(with recursive e as (
    (select entity from ${table} order by entity limit 1)
    union all
    select (select h.entity from ${table} h where h.entity > e.entity order by h.entity limit 1) from e where e.entity is not null)
  select entity from e where entity is not null)`,
).join(' union ')

export async function entitiesOfThePast(db: Queryable): Promise<readonly string[]> {
  const { rows } = await db.query<{ entity: string }>(`select entity from (${ENTITIES}) found order by entity`)
  return rows.map(({ entity }) => entity)
}

const OLDER = HISTORIES.map(
  ({ table, at }) => `exists (select from ${table} where entity = $1 and ${at} < $2::timestamptz)`,
).join(' or ')

/** Entities that have something older than the rule keeps. */
export async function readCuts(db: Queryable, rule: Rule, now: Instant): Promise<readonly Cut[]> {
  const cuts: Cut[] = []
  for (const entity of await entitiesOfThePast(db)) {
    const at = cutOf(rule, entity, now)
    if (at === null) continue
    const { rows } = await db.query<{ older: boolean }>(`select ${OLDER} as older`, [entity, formatInstant(at)])
    if (rows[0]?.older === true) cuts.push({ entity, at })
  }
  return cuts
}

/** Months that the rule may have emptied. */
export function monthsBefore(partitions: readonly Partition[], rule: Rule, now: Instant): readonly Partition[] {
  const cuts = ['', ...rule.byEntity.keys()].flatMap((entity) => cutOf(rule, entity, now) ?? [])
  return partitions.filter((one) => !isDefault(one) && cuts.some((cut) => one.until !== null && one.until <= cut))
}

async function foldAll(
  { signal, share = 0.5, faults }: RetentionOptions,
  piece: (after: string | null) => Promise<Piece>,
): Promise<number> {
  let after: string | null = null
  let folded = 0
  do {
    signal.throwIfAborted()
    const startedMs = performance.now()
    const done: Piece = await piece(after)
    await faults?.hit('retention:after-piece')
    after = done.after
    folded += done.rows
    const restMs = (performance.now() - startedMs) * (1 / share - 1)
    if (after !== null && restMs > 0) await sleep(Math.min(LONGEST_REST_MS, restMs), signal)
  } while (after !== null)
  return folded
}

/** @throws what the database says, and the signal's reason; what was done until then stands */
export async function retain(options: RetentionOptions): Promise<RetentionRun> {
  const { pool, rule, now, signal, faults } = options
  const busy = await ensureMonths(pool, now)
  const waiting = busy.map((table) => `${table} was busy: its months could not be made.`)
  let rowsFolded = 0
  for (const cut of await readCuts(pool, rule, now)) {
    if (!(await moveKeptFrom(pool, cut.entity, cut.at))) {
      waiting.push(`A data set of ${cut.entity} is being made: its past is left until then.`)
      continue
    }
    await faults?.hit('retention:after-kept-from')
    rowsFolded += await foldAll(options, (after) => foldFeatures(pool, cut, after))
    rowsFolded += await foldAll(options, (after) => foldClassifications(pool, cut, after))
  }
  const dropped: string[] = []
  for (const month of monthsBefore(await readPartitions(pool), rule, now)) {
    signal.throwIfAborted()
    const outcome = await dropIfEmpty(pool, month)
    if (outcome === 'dropped') dropped.push(month.table)
    if (outcome === 'busy') waiting.push(`${month.table} is empty and being read: it is dropped later.`)
    await faults?.hit('retention:after-drop')
  }
  return { rowsFolded, dropped, waiting }
}
