/**
 * Rows of the histories, out of the database in bounded pieces.
 * Invariant: rows of a key come in the order they were written; memory holds one piece, however long a history is.
 */
import { sleep } from '../db/backoff.ts'
import { parseLsn } from '../db/lsn.ts'
import { type Client, type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { type BaseStep, type StoredStep, stepsOf } from './base.ts'
import { formatInstant, type Instant, instantSql } from './instant.ts'

/** `snapLsn` is of the snapshot its values were computed from; of several steps in one row of the base, of the newest. */
export interface KeyedStep extends StoredStep {
  readonly key: string
}

type StepRow = {
  readonly id: bigint
  readonly key: string
  readonly epoch: number
  readonly valid_at: bigint
  readonly recorded_at: bigint
  readonly snap_lsn: string
} & (
  | { readonly op: KeyedStep['op']; readonly changed: KeyedStep['changed'] }
  | { readonly op: 'base'; readonly steps: readonly BaseStep[] }
)

const PIECE = 2_000
const CURSOR = 'rescore_history'

const STEPS = `declare ${CURSOR} no scroll cursor for
  select id, key, op, changed, steps, epoch, ${instantSql('valid_at')} as valid_at,
    ${instantSql('recorded_at')} as recorded_at, snap_lsn::text as snap_lsn
  from rescore.feature_past
  where entity = $1 and key = any($2::text[]) and recorded_at <= $3::timestamptz
  order by key, id`

export interface PastRange {
  readonly entity: string
  readonly keys: readonly string[]
  readonly until: Instant
}

function takeRow(row: StepRow, take: (step: KeyedStep) => void): void {
  const { id, key, epoch } = row
  const snapLsn = parseLsn(row.snap_lsn)
  if (row.op === 'base') {
    for (const step of stepsOf(row.steps)) take({ ...step, id, key, epoch, snapLsn })
    return
  }
  const { op, changed } = row
  take({ id, key, epoch, snapLsn, op, changed, validAt: row.valid_at, recordedAt: row.recorded_at })
}

/** As `readSteps`, inside the caller's transaction. */
export async function readPast(
  client: Client,
  { entity, keys, until }: PastRange,
  take: (step: KeyedStep) => void,
): Promise<void> {
  await client.query(STEPS, [entity, keys, formatInstant(until)])
  for (;;) {
    const { rows } = await client.query<StepRow>(`fetch ${PIECE} from ${CURSOR}`)
    for (const row of rows) takeRow(row, take)
    if (rows.length < PIECE) break
  }
  await client.query(`close ${CURSOR}`)
}

/** Every step of these keys that was recorded by `until`, each key's in the order they were written. */
export async function readSteps(pool: Pool, range: PastRange, take: (step: KeyedStep) => void): Promise<void> {
  await withTransaction(pool, { readOnly: true }, (client) => readPast(client, range, take))
}

interface HorizonRow {
  readonly horizon: bigint
  readonly unseen: boolean
}

const HORIZON = `select ${instantSql('least($1::timestamptz, min(a.xact_start))')} as horizon,
    coalesce(bool_or(a.xact_start is null), false) as unseen
  from pg_locks l left join pg_stat_activity a on a.pid = l.pid
  where l.database = (select oid from pg_database where datname = current_database())
    and l.relation = 'rescore.feature_history'::regclass and l.mode = 'RowExclusiveLock'`
const LOOKS = 40
const BETWEEN_LOOKS_MS = 50

/**
 * A moment before which nothing will be recorded any more: rows are stamped before they are committed, so what is under way
 * may still come to light with a stamp that has passed. Whoever writes history holds its table locked from before the stamp
 * until the row is visible.
 * @throws RescoreError DATASET_UNSEEN when a transaction holds the table whose begin cannot be seen
 */
export async function readHorizon(db: Queryable, signal?: AbortSignal): Promise<Instant> {
  for (let look = 1; look <= LOOKS; look += 1) {
    const started = await db.query<{ now: string }>('select clock_timestamp()::text as now')
    const { rows } = await db.query<HorizonRow>(HORIZON, [started.rows[0]?.now])
    const [found] = rows
    if (found !== undefined && !found.unseen) return found.horizon
    // Mostly one that ended while its lock was being looked at.
    await sleep(BETWEEN_LOOKS_MS, signal)
  }
  throw new RescoreError({
    code: 'DATASET_UNSEEN',
    fate: 'stop',
    message: 'A transaction writes rescore.feature_history whose begin this role may not see, or that was prepared.',
    mend: 'grant pg_read_all_stats to the role of DATABASE_URL; or end the prepared transaction (pg_prepared_xacts).',
  })
}
