/**
 * The source as a server: its slot and publication, made once and recognised before every pass.
 *
 * Invariants: the publication is there before the slot; a slot that is found although nothing was noted of it is not ours
 * and is left alone; whatever would leave a gap (another server, another history, a slot that is gone or was moved, a
 * publication that was changed) is told as a loss, never passed over.
 */
import { randomBytes } from 'node:crypto'
import type { Identity } from '../capture/identity.ts'
import { ensurePublication } from '../capture/publication.ts'
import type { FoundTable } from '../capture/watchable.ts'
import { formatLsn, parseLsn } from '../db/lsn.ts'
import { isCanceled, type Pool } from '../db/pool.ts'
import type { CopySpec } from '../define/index.ts'
import { refused } from './error.ts'
import type { CopyState, Phase } from './state.ts'

export interface SlotRow {
  readonly confirmed: string | null
  readonly isLost: boolean
  readonly reason: string | null
  readonly activePid: number | null
  /** WAL the source keeps for it, bytes. */
  readonly retained: number
  readonly isHere: boolean
}

export async function readSlot(pool: Pool, slot: string): Promise<SlotRow | undefined> {
  const { rows } = await pool.query<SlotRow>(
    `select confirmed_flush_lsn::text as confirmed, wal_status = 'lost' as "isLost", wal_status as reason,
       active_pid as "activePid", greatest(0, pg_current_wal_insert_lsn() - restart_lsn)::float8 as retained,
       coalesce(database = current_database() and plugin = 'pgoutput', false) as "isHere"
     from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  return rows[0]
}

/** Why what was noted does not lead on from here; null: it does. */
export function lossOf(state: CopyState, identity: Identity, slot: SlotRow | undefined): string | null {
  if (state.lsn === null) return null
  if (state.system !== identity.system) return 'it is another server than before'
  if (state.timeline !== identity.timeline) return 'it was promoted or restored: its history is another than before'
  if (parseLsn(state.lsn) > identity.walLsn) return 'its log ends before what was read already: a backup was restored'
  if (slot === undefined) return `the replication slot '${state.slot}' is gone`
  if (slot.isLost) return `the replication slot '${state.slot}' was invalidated (${slot.reason})`
  if (slot.confirmed !== null && parseLsn(slot.confirmed) > parseLsn(state.lsn)) {
    return `something else read from the replication slot '${state.slot}'`
  }
  return null
}

/** Nothing made yet: the note that goes before the slot. */
export function firstState({ slot, publication }: CopySpec, { system, timeline }: Identity): CopyState {
  return { system, timeline, slot, publication, mark: randomBytes(6).toString('hex'), lsn: null, tables: {} }
}

function foreign(slot: string): Error {
  return refused(
    'COPY_SLOT_FOREIGN',
    `The source has a replication slot '${slot}' that this connector did not make.`,
    `Give the connector a slot name of its own, or drop it there: select pg_drop_replication_slot('${slot}');`,
  )
}

/** @throws SourceError COPY_SLOT_FOREIGN */
export function refuseForeign(state: CopyState | null, slot: SlotRow | undefined, name: string): void {
  if (slot !== undefined && (state === null || !slot.isHere)) throw foreign(name)
}

export async function dropSlot(pool: Pool, slot: SlotRow | undefined, name: string): Promise<void> {
  if (slot === undefined) return
  // What reads from it is an earlier connection of ours: the note says the slot is.
  if (slot.activePid !== null) await pool.query('select pg_terminate_backend($1, 5000)', [slot.activePid])
  await pool.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [name])
}

/** Bounded: it waits for every transaction of the source that is open. @returns where its stream begins */
export async function createSlot(pool: Pool, slot: string, withinMs = 60_000): Promise<string> {
  const client = await pool.connect()
  try {
    await client.query(`set statement_timeout = ${Math.ceil(withinMs)}`)
    const { rows } = await client.query<{ lsn: string }>(
      `select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput')`,
      [slot],
    )
    return rows[0]?.lsn ?? formatLsn(0n)
  } catch (error) {
    if (!isCanceled(error)) throw error
    const blockers = await pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid() order by xact_start limit 3`,
    )
    const pids = blockers.rows.map(({ pid }) => pid).join(', ') || 'none now'
    throw refused(
      'COPY_SLOT_CREATE',
      `The source waits for open transactions before it can make the slot '${slot}': ${pids}.`,
      'End them (pg_terminate_backend); it is tried again by itself.',
      error,
    )
  } finally {
    client.release(true)
  }
}

/** 64-bit id that every transaction running now is below. */
async function runningBelow(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ below: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as below')
  return rows[0]?.below ?? '0'
}

/**
 * The publication as declared, and a phase for each table. A table that is new, or was not published whole all the time,
 * is copied (again).
 */
export async function ensureTables(
  pool: Pool,
  spec: CopySpec,
  state: CopyState,
  found: ReadonlyMap<string, FoundTable>,
): Promise<CopyState> {
  const names = spec.tables.map(({ from }) => from)
  const kept = new Map(
    names.flatMap((name): (readonly [string, Phase])[] => {
      const phase = state.tables[name]
      return phase !== undefined && found.get(name)?.isPublished === true ? [[name, phase]] : []
    }),
  )
  await ensurePublication(pool, { publication: spec.publication, tables: names, owned: [] })
  if (kept.size === names.length && names.length === Object.keys(state.tables).length) return state
  const below = await runningBelow(pool)
  const tables = Object.fromEntries(
    names.map((name): [string, Phase] => [name, kept.get(name) ?? { phase: 'waiting', below }]),
  )
  return { ...state, tables }
}
