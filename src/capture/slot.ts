/**
 * The replication slot: made once, and recognised before every connection.
 *
 * Invariants: the publication exists before the slot; a slot that is missing, invalidated, of another database or was
 * moved by anyone else is refused with its mend, never recreated silently, because that would leave an unknown gap. A
 * slot of another database is never dropped. Every step can be repeated after a crash.
 */
import { formatLsn, parseLsn } from '../db/lsn.ts'
import { type Pool, quoteTable, withTransaction } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'
import { ensureIdentities, ensurePublication, type WatchedTables } from './publication.ts'

export interface CaptureSetup extends WatchedTables {
  readonly slot: string
}

function refuse(code: string, message: string, mend: string): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend })
}

const RESYNC = 'Run `rescore resync`: it makes a new slot and recomputes everything behind live changes.'

interface Identity {
  readonly system: string
  readonly timeline: number
  readonly walLsn: bigint
}

async function identify(pool: Pool): Promise<Identity> {
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

interface SlotRow {
  readonly confirmed_flush_lsn: string | null
  readonly wal_status: string | null
  readonly invalidation_reason: string | null
  readonly is_here: boolean
}

async function readSlot(pool: Pool, slot: string): Promise<SlotRow | undefined> {
  const { rows } = await pool.query<SlotRow>(
    `select confirmed_flush_lsn::text, wal_status, invalidation_reason,
            coalesce(database = current_database() and plugin = 'pgoutput', false) as is_here
     from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  return rows[0]
}

function foreignSlot(slot: string): RescoreError {
  return refuse(
    'CAPTURE_SLOT_FOREIGN',
    `The replication slot '${slot}' belongs to another database or program of this server.`,
    'Give Rescore a slot name of its own (RESCORE_SLOT); names of slots are shared by the whole server.',
  )
}

/** PostgreSQL 18 goes on streaming without a publication that was dropped: as if nothing had changed. */
export function publicationLost(slot: string): RescoreError {
  return refuse(
    'CAPTURE_PUBLICATION_LOST',
    `The publication of the slot '${slot}' is gone; changes since then were not streamed.`,
    RESYNC,
  )
}

async function createSlot(pool: Pool, setup: CaptureSetup, identity: Identity): Promise<void> {
  const { slot, publication, createTimeoutMs = 30_000 } = setup
  const client = await pool.connect()
  try {
    // Creating a slot waits for every transaction that is open; bounded, so that the blocker can be named.
    await client.query(`set statement_timeout = ${Math.ceil(createTimeoutMs)}`)
    const { rows } = await client
      .query<{ lsn: string }>(`select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput')`, [slot])
      .catch(async (cause: unknown) => {
        const blockers = await pool.query<{ pid: number }>(
          `select pid from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() order by xact_start limit 3`,
        )
        throw new RescoreError({
          code: 'CAPTURE_SLOT_CREATE',
          fate: 'stop',
          message: `The replication slot '${slot}' could not be created; open transactions: ${blockers.rows.map((row) => row.pid).join(', ') || 'none'}.`,
          mend: 'End those transactions (pg_terminate_backend), check max_replication_slots and the REPLICATION privilege, and start again.',
          cause,
        })
      })
    await client.query(
      `insert into rescore.capture (system_id, timeline, slot, publication, confirmed_lsn) values ($1, $2, $3, $4, $5)`,
      [identity.system, identity.timeline, slot, publication, rows[0]?.lsn ?? formatLsn(identity.walLsn)],
    )
  } finally {
    client.release(true)
  }
}

interface Left {
  readonly system_id: string
  readonly timeline: number
  readonly slot: string
  readonly confirmed: string
  readonly furthest: string
  readonly is_published: boolean
}

/** What Rescore noted when it left; undefined before the first start and after a resync. */
async function readLeft(pool: Pool): Promise<Left | undefined> {
  const { rows } = await pool.query<Left>(
    `select system_id, timeline, slot, confirmed_lsn::text as confirmed,
            greatest(confirmed_lsn, (select max(lsn) from rescore.stage_position))::text as furthest,
            exists (select from pg_publication where pubname = publication) as is_published
     from rescore.capture`,
  )
  return rows[0]
}

/**
 * Checks that the database and the slot are the ones Rescore left.
 * @throws RescoreError of fate `stop` when they are not
 */
export async function recognise(pool: Pool, slotName: string): Promise<{ readonly confirmedLsn: bigint }> {
  const [identity, slot, left] = [await identify(pool), await readSlot(pool, slotName), await readLeft(pool)]
  if (left === undefined) {
    throw refuse('CAPTURE_NOT_SET_UP', 'This database was never set up for capture, or is being resynced.', RESYNC)
  }
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
  if (slot === undefined || left.slot !== slotName) {
    throw refuse(
      'CAPTURE_SLOT_LOST',
      left.slot === slotName
        ? `The replication slot '${slotName}' is gone; changes since ${left.confirmed} may be missing.`
        : `The slot is configured as '${slotName}', but Rescore read from '${left.slot}' until ${left.confirmed}.`,
      RESYNC,
    )
  }
  if (!slot.is_here) throw foreignSlot(slotName)
  if (slot.wal_status === 'lost' || slot.invalidation_reason !== null) {
    throw refuse(
      'CAPTURE_SLOT_LOST',
      `The replication slot '${slotName}' was invalidated (${slot.invalidation_reason ?? slot.wal_status}).`,
      `${RESYNC} Raise max_slot_wal_keep_size if Rescore may be away for long.`,
    )
  }
  if (!left.is_published) throw publicationLost(slotName)
  if (slot.confirmed_flush_lsn !== null && parseLsn(slot.confirmed_flush_lsn) > parseLsn(left.confirmed)) {
    throw refuse(
      'CAPTURE_SLOT_MOVED',
      `The slot '${slotName}' stands at ${slot.confirmed_flush_lsn}, but Rescore confirmed only ${left.confirmed}: something else read from it.`,
      RESYNC,
    )
  }
  return { confirmedLsn: parseLsn(left.confirmed) }
}

/** @throws RescoreError of fate `stop` when the set-up is not usable or the database is not the one Rescore left */
export async function ensureCapture(pool: Pool, setup: CaptureSetup): Promise<void> {
  const identity = await identify(pool)
  const isFirst = (await readLeft(pool)) === undefined
  // Before anything is changed: a database that is not ours is left as it is.
  if (!isFirst) await recognise(pool, setup.slot)
  await ensureIdentities(pool, setup)
  await ensurePublication(pool, setup)
  if (!isFirst) return
  const slot = await readSlot(pool, setup.slot)
  if (slot?.is_here === false) throw foreignSlot(setup.slot)
  if (slot !== undefined) {
    // Made by an earlier start that died before its note: nothing was ever read from it.
    await pool.query('select pg_drop_replication_slot($1)', [setup.slot])
  }
  await createSlot(pool, setup, identity)
}

/**
 * Gives up the old slot and position, and marks every derived row stale. What is stored stays readable meanwhile.
 * Guards start again at 0/0: in a restored or promoted database the new LSNs may be below the old ones.
 */
export async function resync(pool: Pool, slot: string): Promise<void> {
  await pool.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots
     where slot_name = $1 and database = current_database()`,
    [slot],
  )
  await withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `select distinct 'rescore.features_' || entity as id from rescore.definition
       where to_regclass('rescore.features_' || entity) is not null order by id`,
    )
    for (const { id } of rows) await client.query(`update ${quoteTable(id)} set snap_lsn = '0/0'`)
    await client.query(`
      update rescore.classification set snap_lsn = '0/0', features_lsn = '0/0', artifact_hash = '';
      update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition);
      delete from rescore.capture;
      delete from rescore.stage_position;`)
  })
}
