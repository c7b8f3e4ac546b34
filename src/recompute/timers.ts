/**
 * Timers in the database: when which features of which entities change next because time passes.
 *
 * Invariants: written in the transaction of the feature rows they belong to, by whoever may write those; only what
 * differs is written. A timer whose time has come is replaced or taken away by whoever computes its feature, so after a
 * kill it is still there. An entity that is put aside keeps its timers: time may heal it.
 */
import { type Client, quoteTable } from '../db/pool.ts'
import { isPlanted } from '../faults.ts'
import type { Dirty } from './affected.ts'
import { textArray, timestampText } from './literals.ts'
import type { Outcome } from './outcome.ts'
import type { Program } from './program.ts'
import { statement } from './statement.ts'

/** Key by key and by the primary key, whatever the planner knew of the table when the statement was prepared. */
const OF_KEY = 'select t.* from rescore.timer t where t.entity = $1 and t.key = w.key'
const OF_FEATURE = `${OF_KEY} and t.feature = w.feature offset 0`

const WRITE = `with wanted as (
    select u.* from unnest($2::text[], $3::text[], $4::timestamptz[]) as u (key, feature, due_at)),
  ended as (
    delete from rescore.timer where ctid = any(array(
      select t.ctid from wanted w cross join lateral (${OF_FEATURE.replace('t.*', 't.ctid')}) t where w.due_at is null)))
  insert into rescore.timer (entity, key, feature, due_at)
  select $1, w.key, w.feature, w.due_at from wanted w
  left join lateral (${OF_FEATURE}) t on true
  where w.due_at is not null and t.due_at is distinct from w.due_at order by 2, 3
  on conflict (entity, key, feature) do update set due_at = excluded.due_at`

/** The year 10000, which has no plain text form: nobody waits for it. */
const NEVER_MS = 253_402_300_800_000

const GONE = `delete from rescore.timer where ctid = any(array(
  select t.ctid from unnest($2::text[]) as w (key) cross join lateral (${OF_KEY.replace('t.*', 't.ctid')} offset 0) t))`

interface Timer {
  readonly key: string
  readonly feature: string
  readonly dueMs: number | null
}

function timersOf({ features }: Program, outcomes: readonly Outcome[]): readonly Timer[] {
  return outcomes.flatMap(({ row, dirty, computed }) => {
    if (isPlanted('timer-forgotten') && dirty !== null && isOfTime(dirty)) return []
    return (computed?.due ?? []).map(({ bit, dueMs }) => {
      const feature = features[bit]?.node.feature.name ?? ''
      return { key: row.key, feature, dueMs: dueMs === null || dueMs >= NEVER_MS ? null : dueMs }
    })
  })
}

/** @returns the soonest of those that are there now, milliseconds since 1970; null: none is */
export async function writeTimers(
  client: Client,
  program: Program,
  outcomes: readonly Outcome[],
): Promise<number | null> {
  if (program.timed === 0n) return null
  const { name } = program.node.entity
  const gone = outcomes.filter(({ computed }) => computed === null)
  if (gone.length > 0) {
    await client.query({
      name: 'rescore-timer-gone',
      text: GONE,
      values: [name, textArray(gone.map(({ row }) => row.key))],
    })
  }
  const timers = timersOf(program, outcomes)
  if (timers.length === 0) return null
  await client.query({
    name: 'rescore-timer-write',
    text: WRITE,
    values: [
      name,
      textArray(timers.map(({ key }) => key)),
      textArray(timers.map(({ feature }) => feature)),
      textArray(timers.map(({ dueMs }) => (dueMs === null ? null : timestampText(dueMs)))),
    ],
  })
  const soonest = timers.reduce((least, { dueMs }) => Math.min(least, dueMs ?? least), Number.POSITIVE_INFINITY)
  return soonest === Number.POSITIVE_INFINITY ? null : soonest
}

/** Of features that are gone, or read no time any more. */
export async function forgetTimers(client: Client, programs: readonly Program[]): Promise<void> {
  const timed = programs.flatMap(({ node, features, timed: bits }) =>
    features
      .filter((_, bit) => ((bits >> BigInt(bit)) & 1n) === 1n)
      .map((feature) => ({ entity: node.entity.name, feature: feature.node.feature.name })),
  )
  await client.query(
    `delete from rescore.timer t where not exists (
       select from unnest($1::text[], $2::text[]) as u (entity, feature) where u.entity = t.entity and u.feature = t.feature)`,
    [textArray(timed.map(({ entity }) => entity)), textArray(timed.map(({ feature }) => feature))],
  )
}

/** The row of an entity is locked, not its timer: whoever has a change of it in hand holds the row, and then its timers. */
function dueSql({ node, keyType }: Program, isShared: boolean): string {
  return `select t.key from rescore.timer t join ${quoteTable(node.featureTable)} f on f.key = t.key::${keyType}
    where t.entity = $1 and t.due_at <= $2 order by t.due_at limit $3
    ${isShared ? 'for update of f skip locked' : ''}`
}

/** Never computed, or put aside before they ever were; few, so no lock keeps two workers from trying the same. */
function rowlessSql({ node, keyType }: Program): string {
  return `select t.key from rescore.timer t where t.entity = $1 and t.due_at <= $2
    and not exists (select from ${quoteTable(node.featureTable)} f where f.key = t.key::${keyType})
    order by t.due_at limit $3`
}

export interface DueTimers {
  /** By key. */
  readonly dirty: ReadonlyMap<string, Dirty>
  /** Where the timers stand, for `dropFired`. */
  readonly rows: readonly string[]
  /** Of the one that has waited longest, milliseconds since 1970. */
  readonly oldestMs: number
}

const READ = `select t.row, t.key, t.feature, (extract(epoch from t.due_at) * 1000)::float8 as due
  from unnest($2::text[]) as w (key)
  cross join lateral (${OF_KEY.replace('t.*', 't.*, t.ctid::text as row')} offset 0) t
  where t.due_at <= $3 order by t.key, t.due_at, t.feature`

/**
 * Timers whose time has come, of entities that nobody else has in hand.
 * @param limit of timers, about
 */
export async function takeDue(
  client: Client,
  program: Program,
  { nowMs, limit, isShared }: { readonly nowMs: number; readonly limit: number; readonly isShared: boolean },
): Promise<DueTimers> {
  const { name } = program.node.entity
  const until = timestampText(nowMs)
  const due = statement(isShared ? 'timer-due-shared' : 'timer-due', dueSql(program, isShared))
  const found = await client.query<{ key: string }>({ ...due, values: [name, until, limit] })
  const { rows: keys } =
    found.rows.length > 0
      ? found
      : await client.query<{ key: string }>({
          ...statement('timer-rowless', rowlessSql(program)),
          values: [name, until, limit],
        })
  if (keys.length === 0) return { dirty: new Map(), rows: [], oldestMs: nowMs }
  // What was read before the rows were held may have been fired since.
  const { rows } = await client.query<{ row: string; key: string; feature: string; due: number }>({
    name: 'rescore-timer-read',
    text: READ,
    values: [name, textArray([...new Set(keys.map(({ key }) => key))]), until],
  })
  const dirty = new Map<string, Dirty>()
  for (const { key, feature, due: dueMs } of rows) noteTime(dirty, program, { key, feature, dueMs })
  const oldestMs = rows.reduce((least, { due: dueMs }) => Math.min(least, dueMs), nowMs)
  return { dirty, rows: rows.map(({ row }) => row), oldestMs }
}

function noteTime(
  found: Map<string, Dirty>,
  { features }: Program,
  { key, feature, dueMs }: { readonly key: string; readonly feature: string; readonly dueMs: number },
): void {
  const bit = features.findIndex(({ node }) => node.feature.name === feature)
  const bits = bit < 0 ? 0n : 1n << BigInt(bit)
  const dirty = found.get(key) ?? {
    bits: 0n,
    causes: [],
    causeCount: 0,
    newestCauseMs: dueMs,
    newestLsn: 0n,
    // No transaction fed it, so no worker has computed it before.
    marks: [{ xid: 0, bits: 0n }],
    done: 0n,
  }
  found.set(key, dirty)
  dirty.bits |= bits
  for (const mark of dirty.marks) mark.bits |= bits
  dirty.newestCauseMs = Math.max(dirty.newestCauseMs, dueMs)
  dirty.causes.push({ op: 'time', feature, atMs: dueMs })
  dirty.causeCount += 1
}

function isOfTime({ causes }: Dirty): boolean {
  return causes.some(({ op }) => op === 'time')
}

/** Timers that have fired and are not replaced: what would replace them could not be computed, or is not needed. */
export async function dropFired(client: Client, { rows }: DueTimers): Promise<void> {
  // One that was replaced stands elsewhere by now.
  await client.query({
    name: 'rescore-timer-drop',
    text: 'delete from rescore.timer where ctid = any($1::text[]::tid[])',
    values: [textArray(rows)],
  })
}
