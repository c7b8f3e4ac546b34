/**
 * Sets capture up, and refuses a database that is not the one it left.
 *
 * Invariants: the publication exists before the slot, and holds exactly the watched tables; a slot that is missing,
 * invalidated or was moved by anyone else is refused with its mend, never recreated silently, because that would leave
 * an unknown gap. Every step can be repeated after a crash.
 */
import { formatLsn, parseLsn } from '../db/lsn.ts'
import { type Pool, quoteIdent, quoteTable } from '../db/pool.ts'
import { RescoreError } from '../errors.ts'

export interface CaptureSetup {
  readonly slot: string
  readonly publication: string
  /** `schema.name` of every table to watch. */
  readonly tables: readonly string[]
  /** Tables Rescore created: their replica identity is set, others' is only checked. */
  readonly owned: readonly string[]
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
  const { rows } = await pool.query<{ system: string; timeline: number; wal: string; wal_level: string }>(
    `select system_identifier::text as system,
            ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer as timeline,
            pg_current_wal_insert_lsn()::text as wal, current_setting('wal_level') as wal_level
     from pg_control_system()`,
  )
  const row = rows[0]
  if (row === undefined) throw refuse('CAPTURE_IDENTITY', 'PostgreSQL does not say who it is.', 'Connect to a primary.')
  if (row.wal_level !== 'logical') {
    throw refuse(
      'CAPTURE_WAL_LEVEL',
      `wal_level is '${row.wal_level}'; changes can only be read at 'logical'.`,
      "alter system set wal_level = 'logical', then restart PostgreSQL.",
    )
  }
  return { system: row.system, timeline: row.timeline, walLsn: parseLsn(row.wal) }
}

/** Replica identity FULL, so that old values and old parents are in the log. */
async function ensureIdentities(pool: Pool, { tables, owned }: CaptureSetup): Promise<void> {
  const { rows } = await pool.query<{ id: string; identity: string | null }>(
    `select t.id, c.relreplident as identity from unnest($1::text[]) as t(id)
     left join pg_class c on c.oid = to_regclass(t.id)`,
    [tables.map(quoteTable)],
  )
  const ownedIds = new Set(owned.map(quoteTable))
  for (const { id, identity } of rows) {
    if (identity === null) {
      throw refuse(
        'CAPTURE_TABLE_MISSING',
        `Table ${id} does not exist.`,
        'Create it, or take it out of the configuration.',
      )
    }
    if (identity === 'f') continue
    if (!ownedIds.has(id)) {
      throw refuse(
        'CAPTURE_REPLICA_IDENTITY',
        `Table ${id} does not log old values, so a row that moves to another parent could not be followed.`,
        `alter table ${id} replica identity full;`,
      )
    }
    await pool.query(`alter table ${id} replica identity full`)
  }
}

async function ensurePublication(pool: Pool, { publication, tables }: CaptureSetup): Promise<void> {
  const list = [...new Set(tables)].sort().map(quoteTable).join(', ')
  const { rows } = await pool.query<{ tables: string | null }>(
    `select string_agg(format('%I.%I', schemaname, tablename), ', ' order by schemaname || '.' || tablename) as tables
     from pg_publication p left join pg_publication_tables t on t.pubname = p.pubname where p.pubname = $1
     group by p.pubname`,
    [publication],
  )
  if (rows.length === 0) await pool.query(`create publication ${quoteIdent(publication)} for table ${list}`)
  else if (rows[0]?.tables?.replaceAll('"', '') !== list.replaceAll('"', '')) {
    await pool.query(`alter publication ${quoteIdent(publication)} set table ${list}`)
  }
}

interface SlotRow {
  readonly confirmed_flush_lsn: string | null
  readonly wal_status: string | null
  readonly invalidation_reason: string | null
}

async function readSlot(pool: Pool, slot: string): Promise<SlotRow | undefined> {
  const { rows } = await pool.query<SlotRow>(
    `select confirmed_flush_lsn::text, wal_status, invalidation_reason from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  return rows[0]
}

async function createSlot(pool: Pool, setup: CaptureSetup, identity: Identity): Promise<void> {
  const client = await pool.connect()
  try {
    // Creating a slot waits for every transaction that is open; bounded, so that the blocker can be named.
    await client.query(`set statement_timeout = '30s'`)
    const { rows } = await client
      .query<{ lsn: string }>(`select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput')`, [setup.slot])
      .catch(async (cause: unknown) => {
        const blockers = await pool.query<{ pid: number }>(
          `select pid from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() order by xact_start limit 3`,
        )
        throw new RescoreError({
          code: 'CAPTURE_SLOT_CREATE',
          fate: 'stop',
          message: `The replication slot '${setup.slot}' could not be created; open transactions: ${blockers.rows.map((row) => row.pid).join(', ') || 'none'}.`,
          mend: 'End those transactions (pg_terminate_backend), check max_replication_slots and the REPLICATION privilege, and start again.',
          cause,
        })
      })
    await client.query(
      `insert into rescore.capture (system_id, timeline, slot, publication, confirmed_lsn) values ($1, $2, $3, $4, $5)`,
      [identity.system, identity.timeline, setup.slot, setup.publication, rows[0]?.lsn ?? formatLsn(identity.walLsn)],
    )
  } finally {
    client.release(true)
  }
}

/** @throws RescoreError of fate `stop` when the database is not the one Rescore left */
export async function ensureCapture(pool: Pool, setup: CaptureSetup): Promise<void> {
  const identity = await identify(pool)
  await ensureIdentities(pool, setup)
  await ensurePublication(pool, setup)
  const slot = await readSlot(pool, setup.slot)
  const { rows } = await pool.query<{
    system_id: string
    timeline: number
    slot: string
    confirmed: string
    furthest: string
  }>(
    `select system_id, timeline, slot, confirmed_lsn::text as confirmed,
            greatest(confirmed_lsn, (select max(lsn) from rescore.stage_position))::text as furthest from rescore.capture`,
  )
  const left = rows[0]
  if (left === undefined) {
    if (slot !== undefined) {
      // Made by an earlier start that died before its note: nothing was ever read from it.
      await pool.query('select pg_drop_replication_slot($1)', [setup.slot])
    }
    await createSlot(pool, setup, identity)
    return
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
  if (slot === undefined) {
    throw refuse(
      'CAPTURE_SLOT_LOST',
      `The replication slot '${setup.slot}' is gone; changes since ${left.confirmed} may be missing.`,
      RESYNC,
    )
  }
  if (slot.wal_status === 'lost' || slot.invalidation_reason !== null) {
    throw refuse(
      'CAPTURE_SLOT_LOST',
      `The replication slot '${setup.slot}' was invalidated (${slot.invalidation_reason ?? slot.wal_status}).`,
      `${RESYNC} Raise max_slot_wal_keep_size if Rescore may be away for long.`,
    )
  }
  if (slot.confirmed_flush_lsn !== null && parseLsn(slot.confirmed_flush_lsn) > parseLsn(left.confirmed)) {
    throw refuse(
      'CAPTURE_SLOT_MOVED',
      `The slot '${setup.slot}' stands at ${slot.confirmed_flush_lsn}, but Rescore confirmed only ${left.confirmed}: something else read from it.`,
      RESYNC,
    )
  }
}

/** Gives up the old slot and position, and marks every derived row stale. What is stored stays readable meanwhile. */
export async function resync(pool: Pool, slot: string): Promise<void> {
  await pool.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [slot])
  await pool.query(`
    delete from rescore.capture;
    delete from rescore.stage_position;
    update rescore.definition set changed_in_epoch = (select max(changed_in_epoch) + 1 from rescore.definition);`)
}
