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
import { type Carrier, EMBEDDED, refuseOtherCarrier } from './carrier.ts'
import { type Identity, identify, RESYNC, readLeft, recogniseDatabase, refuse } from './identity.ts'
import { ensureIdentities, ensurePublication, type WatchedTables } from './publication.ts'

export interface CaptureSetup extends WatchedTables {
  readonly slot: string
  /** What the changes will travel by. Default: the embedded log. */
  readonly carrier?: Carrier
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
  const { slot, publication, createTimeoutMs = 30_000, carrier = EMBEDDED } = setup
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
      `insert into rescore.capture (system_id, timeline, slot, publication, carrier, confirmed_lsn)
       values ($1, $2, $3, $4, $5, $6)`,
      [identity.system, identity.timeline, slot, publication, carrier, rows[0]?.lsn ?? formatLsn(identity.walLsn)],
    )
  } finally {
    client.release(true)
  }
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
  recogniseDatabase(identity, left)
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
  const { carrier = EMBEDDED } = setup
  const isFirst = (await readLeft(pool)) === undefined
  // Before anything is changed: a database that is not ours is left as it is.
  await refuseOtherCarrier(pool, carrier)
  if (!isFirst) await recognise(pool, setup.slot)
  await ensureIdentities(pool, setup)
  await ensurePublication(pool, setup)
  if (!isFirst) {
    // From here on the slot is confirmed for what is published, so the embedded log would find too little in it.
    await pool.query('update rescore.capture set carrier = $1 where carrier <> $1', [carrier])
    return
  }
  const slot = await readSlot(pool, setup.slot)
  if (slot?.is_here === false) throw foreignSlot(setup.slot)
  if (slot !== undefined) {
    // Made by an earlier start that died before its note: nothing was ever read from it.
    await pool.query('select pg_drop_replication_slot($1)', [setup.slot])
  }
  await createSlot(pool, setup, identity)
}

/** The slot that was read, whatever is configured by now; null when there is none, and where it is a connector's. */
export async function readOwnSlot(pool: Pool): Promise<string | null> {
  const { rows } = await pool.query<{ slot: string }>(
    `select slot from rescore.capture where carrier not like 'debezium %'`,
  )
  return rows[0]?.slot ?? null
}

/**
 * Gives up the old slot and position, and marks every derived row stale. What is stored stays readable meanwhile.
 * Guards start again at 0/0: in a restored or promoted database the new LSNs may be below the old ones.
 */
export async function resync(pool: Pool): Promise<void> {
  await pool.query(
    `select pg_drop_replication_slot(slot_name) from pg_replication_slots
     where slot_name = $1 and database = current_database()`,
    [await readOwnSlot(pool)],
  )
  await withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      // Also those of removed entities: they may come back.
      `select 'rescore.' || tablename as id from pg_tables
       where schemaname = 'rescore' and tablename like 'features\\_%' order by id`,
    )
    for (const { id } of rows) await client.query(`update ${quoteTable(id)} set snap_lsn = '0/0'`)
    await client.query(`
      update rescore.classification set snap_lsn = '0/0', features_lsn = '0/0', artifact_hash = '';
      update rescore.definition set changed_in_epoch = (select rescore.next_epoch());
      delete from rescore.capture;
      delete from rescore.stage_position;`)
  })
}
