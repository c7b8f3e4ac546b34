/**
 * A backfill: which entities, which features, and how far it is.
 *
 * Invariant: one state, and only the transitions below; whoever asks for another one is told which state it is in.
 */
import type { Queryable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import type { Job } from '../recompute/outcome.ts'

export const POLICIES = ['stale', 'missing', 'failed', 'silenced', 'all'] as const
/**
 * Which of the entities in its scope: stale under the definitions, without a value, put aside, computed silently and not
 * scored since, or every one.
 */
export type Policy = (typeof POLICIES)[number]

export type BackfillState = 'planned' | 'running' | 'paused' | 'done' | 'cancelled' | 'failed'

export interface Backfill {
  readonly id: bigint
  readonly entity: string
  /** Empty: every feature. */
  readonly features: readonly string[]
  readonly policy: Policy
  readonly reason: 'asked' | 'deployed'
  readonly askedBy: string | null
  /** What it computes is neither scored nor written back. */
  readonly isSilent: boolean
  readonly condition: string | null
  readonly priority: string | null
  readonly rate: number | null
  readonly state: BackfillState
  readonly failure: string | null
  readonly afterKey: string | null
  readonly isCut: boolean
  readonly total: number
  readonly isTotalExact: boolean
  readonly changed: number
  readonly unchanged: number
  readonly fresh: number
  readonly failed: number
  readonly gone: number
  readonly createdAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
}

/** Whoever does what to it: from which states, to which. */
export const ACTIONS = {
  approve: { from: ['planned'], to: 'running' },
  pause: { from: ['running'], to: 'paused' },
  resume: { from: ['paused', 'failed'], to: 'running' },
  cancel: { from: ['planned', 'running', 'paused', 'failed'], to: 'cancelled' },
} as const satisfies Readonly<Record<string, { readonly from: readonly BackfillState[]; readonly to: BackfillState }>>
export type Action = keyof typeof ACTIONS

export const ENDED: readonly BackfillState[] = ['done', 'cancelled']

/** float8: counts stay far below 2^53. */
export const BACKFILL_COLUMNS = `id, entity, features, policy, reason, asked_by as "askedBy", is_silent as "isSilent", condition, priority, rate, state, failure,
  after_key as "afterKey", is_cut as "isCut", total::float8, is_total_exact as "isTotalExact",
  changed::float8, unchanged::float8, fresh::float8, failed::float8, gone::float8,
  created_at::text as "createdAt", started_at::text as "startedAt", ended_at::text as "endedAt"`

export function doneCount({ changed, unchanged, fresh, failed, gone }: Backfill): number {
  return changed + unchanged + fresh + failed + gone
}

const DONE = 'changed + unchanged + fresh + failed + gone'
/** From now on its rate is told anew: what passed before, at a standstill too, says nothing of it. */
export const RATE_ANEW = `before_at = clock_timestamp(), before_done = ${DONE}, noted_at = clock_timestamp(), noted_done = ${DONE}`

/** As what it computes is told of. */
export function jobOf({ id, reason, askedBy, isSilent }: Backfill, startedAtMs: number, lsn: string): Job {
  const by = askedBy === null ? '' : ` by ${askedBy}`
  const why = reason === 'asked' ? `asked${by}` : `deployed${askedBy === null ? '' : `, approved${by}`}`
  const cause = {
    table: 'rescore.backfill',
    key: String(id),
    op: 'backfill',
    column: null,
    from: null,
    to: isSilent ? `${why}, silent` : why,
    lsn,
    committedAtMs: startedAtMs,
  } as const
  return { cause, silencedBy: isSilent ? id : null }
}

/** @throws RescoreError BACKFILL_UNKNOWN */
export async function readBackfill(database: Queryable, id: bigint): Promise<Backfill> {
  const { rows } = await database.query<Backfill>(`select ${BACKFILL_COLUMNS} from rescore.backfill where id = $1`, [
    id,
  ])
  const [row] = rows
  if (row !== undefined) return row
  throw new RescoreError({
    code: 'BACKFILL_UNKNOWN',
    fate: 'stop',
    message: `There is no backfill ${id}.`,
    mend: 'See them: rescore backfills.',
  })
}

export interface ActOptions {
  /** Who does it, kept where it lets a planned one run. */
  readonly by?: string | null
  /** From now on what it computes is not scored. */
  readonly isSilent?: boolean
}

/** @throws RescoreError BACKFILL_UNKNOWN, BACKFILL_STATE */
export async function act(
  database: Queryable,
  id: bigint,
  action: Action,
  { by = null, isSilent = false }: ActOptions = {},
): Promise<Backfill> {
  const { from, to } = ACTIONS[action]
  const { rows } = await database.query<Backfill>(
    `update rescore.backfill set state = $3, failure = null,
       started_at = case when $3 = 'running' then coalesce(started_at, clock_timestamp()) else started_at end,
       ended_at = case when $3 = 'cancelled' then clock_timestamp() end,
       asked_by = case when $4 = 'approve' then coalesce(asked_by, $5) else asked_by end,
       is_silent = is_silent or $6, ${RATE_ANEW}
     where id = $1 and state = any($2::text[]) returning ${BACKFILL_COLUMNS}`,
    [id, [...from], to, action, by, isSilent],
  )
  const [row] = rows
  if (row !== undefined) return row
  const { state } = await readBackfill(database, id)
  throw new RescoreError({
    code: 'BACKFILL_STATE',
    fate: 'stop',
    message: `Backfill ${id} is ${state}: it cannot be told to ${action}.`,
    mend: `It can where it is ${from.join(' or ')}. See them: rescore backfills.`,
  })
}
