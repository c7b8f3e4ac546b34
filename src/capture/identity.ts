/**
 * Which database this is, and whether it is the one that Rescore left.
 *
 * Invariant: a database that was restored, promoted or exchanged is refused with its mend before anything of it is
 * changed: positions of another history would pass over changes of this one.
 */
import { formatLsn, parseLsn } from '../db/lsn.ts'
import type { Pool } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

export function refuse(code: string, message: string, mend: string): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend })
}

export const RESYNC = 'Run `rescore resync`: it makes a new slot and recomputes everything behind live changes.'

export interface Identity {
  readonly system: string
  readonly timeline: number
  readonly walLsn: bigint
}

/** @throws RescoreError CAPTURE_STANDBY, CAPTURE_WAL_LEVEL */
export async function identify(pool: Pool): Promise<Identity> {
  const { rows } = await pool.query<{
    system: string
    timeline: number | null
    wal: string | null
    wal_level: string
  }>(
    `select system_identifier::text as system, current_setting('wal_level') as wal_level,
            case when not pg_is_in_recovery() then
              ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer end as timeline,
            case when not pg_is_in_recovery() then pg_current_wal_insert_lsn()::text end as wal
     from pg_control_system()`,
  )
  const row = rows[0]
  if (row === undefined || row.timeline === null || row.wal === null) {
    throw refuse('CAPTURE_STANDBY', 'This PostgreSQL is a standby: it cannot be written to.', 'Connect to the primary.')
  }
  if (row.wal_level !== 'logical') {
    throw refuse(
      'CAPTURE_WAL_LEVEL',
      `wal_level is '${row.wal_level}'; changes can only be read at 'logical'.`,
      "alter system set wal_level = 'logical', then restart PostgreSQL.",
    )
  }
  return { system: row.system, timeline: row.timeline, walLsn: parseLsn(row.wal) }
}

export interface Left {
  readonly system_id: string
  readonly timeline: number
  readonly slot: string
  readonly confirmed: string
  readonly furthest: string
  readonly is_published: boolean
}

/** What Rescore noted when it left; undefined before the first start and after a resync. */
export async function readLeft(pool: Pool): Promise<Left | undefined> {
  const { rows } = await pool.query<Left>(
    `select system_id, timeline, slot, confirmed_lsn::text as confirmed,
            greatest(confirmed_lsn, (select max(lsn) from rescore.stage_position))::text as furthest,
            exists (select from pg_publication where pubname = publication) as is_published
     from rescore.capture`,
  )
  return rows[0]
}

/** @throws RescoreError CAPTURE_OTHER_DATABASE, CAPTURE_RESTORED */
export function recogniseDatabase(identity: Identity, left: Left): void {
  if (left.system_id !== identity.system || left.timeline !== identity.timeline) {
    throw refuse(
      'CAPTURE_OTHER_DATABASE',
      `This database is system ${identity.system}, timeline ${identity.timeline}; Rescore left ${left.system_id}, timeline ${left.timeline}: it was restored or promoted.`,
      RESYNC,
    )
  }
  if (parseLsn(left.furthest) > identity.walLsn) {
    throw refuse(
      'CAPTURE_RESTORED',
      `The write-ahead log ends at ${formatLsn(identity.walLsn)}, before ${left.furthest}, which was handled already: a backup was restored.`,
      RESYNC,
    )
  }
}
