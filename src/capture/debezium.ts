/**
 * The slot and the publication of a Debezium connector that captures in our place: waited for, noted, and watched.
 *
 * Invariants. Nothing of them is made, moved or dropped by us. The set-up is noted, which is what stages wait for, only
 * when everything that is committed from then on will be in the topics, and everything that was committed before is
 * visible: the slot is there, the publication names every table, and every transaction that was open when both were seen
 * has ended, so that the first sweep sees what no record will tell. From then on a slot or a table that is gone is a gap,
 * and refused. A crash on the way repeats it.
 */
import { sleep } from '../db/backoff.ts'
import { isRetriableDbError, type Pool, quoteTable } from '../db/pool.ts'
import type { ProjectConfig } from '../define/index.ts'
import type { RescoreError } from '../errors.ts'
import { type Carrier, refuseOtherCarrier } from './carrier.ts'
import { identify, readLeft, recogniseDatabase, refuse } from './identity.ts'

export interface DebeziumSetup {
  /** The connector's `slot.name`. */
  readonly slot: string
  /** The connector's `publication.name`. */
  readonly publication: string
  /** `schema.name` of every table whose changes must come through. */
  readonly tables: readonly string[]
  readonly carrier: Carrier
}

export interface FollowDebeziumOptions extends DebeziumSetup {
  readonly pool: Pool
  readonly signal: AbortSignal
  /** Before the set-up is noted: what only a sweep will see is wanted swept. */
  readonly beforeNoted: () => Promise<void>
  /** What is waited for before the set-up is noted. */
  readonly onWaiting: (reason: string) => void
  /** Once it is noted: whether the connector reads its slot. */
  readonly onWatched: (isStreaming: boolean) => void
}

const LOOK_EVERY_MS = 500
const WATCH_EVERY_MS = 5_000
const MEND = 'Bring it back as docs/kafka.md shows, then `rescore resync --yes` and start: everything is recomputed.'
const INCLUDE =
  'Name them in table.include.list and start the connector anew. If Rescore has read one of them before: `rescore resync --yes`. Then start.'

export interface DebeziumSlot {
  readonly active: boolean
  readonly lost: string | null
  readonly is_here: boolean
}

export async function readDebeziumSlot(pool: Pool, slot: string): Promise<DebeziumSlot | undefined> {
  const { rows } = await pool.query<DebeziumSlot>(
    `select active, case when wal_status = 'lost' then coalesce(invalidation_reason, wal_status) end as lost,
       coalesce(database = current_database() and slot_type = 'logical', false) as is_here
     from pg_replication_slots where slot_name = $1`,
    [slot],
  )
  return rows[0]
}

/** Tables that the publication does not hold; all of them where there is none. As `schema.name`. */
export async function unpublishedTables(
  pool: Pool,
  { publication, tables }: Pick<DebeziumSetup, 'publication' | 'tables'>,
): Promise<readonly string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select u.name from unnest($2::text[], $3::text[]) as u (name, id)
     where not exists (select from pg_publication_tables p join pg_publication q using (pubname)
       where p.pubname = $1 and format('%I.%I', p.schemaname, p.tablename)::regclass = to_regclass(u.id)
         and q.pubinsert and q.pubupdate and q.pubdelete and q.pubtruncate)
     order by 1`,
    [publication, tables, tables.map(quoteTable)],
  )
  return rows.map(({ name }) => name)
}

/** Why changes would not come through; null: they do, or will once the connector runs. */
async function obstacle(pool: Pool, setup: DebeziumSetup): Promise<RescoreError | null> {
  const { slot, publication } = setup
  const found = await readDebeziumSlot(pool, slot)
  const lost = (message: string) => refuse('CAPTURE_DEBEZIUM_LOST', message, MEND)
  if (found === undefined) return lost(`The connector's replication slot '${slot}' (RESCORE_SLOT) does not exist.`)
  if (!found.is_here) return lost(`The slot '${slot}' (RESCORE_SLOT) belongs to another database of this server.`)
  if (found.lost !== null) return lost(`The connector's replication slot '${slot}' was invalidated (${found.lost}).`)
  const missing = await unpublishedTables(pool, setup)
  if (missing.length === 0) return null
  return refuse(
    'CAPTURE_DEBEZIUM_LOST',
    `The connector's publication '${publication}' (RESCORE_PUBLICATION) lacks ${missing.join(', ')}, or a kind of change of theirs.`,
    INCLUDE,
  )
}

/** Resolves once everything that was open, or committed and not visible yet, when it was called is visible. */
async function untilVisible({ pool, signal, onWaiting }: FollowDebeziumOptions): Promise<void> {
  const { rows } = await pool.query<{ after: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as after')
  for (;;) {
    const { rows: found } = await pool.query<{ over: boolean; pids: number[] | null }>(
      `select pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8 as over,
         (select array_agg(pid order by xact_start) from pg_stat_activity
          where backend_xid is not null and pid <> pg_backend_pid()) as pids`,
      [rows[0]?.after],
    )
    if (found[0]?.over === true) return
    onWaiting(`waits for transactions that are open: ${found[0]?.pids?.slice(0, 3).join(', ') ?? 'none now'}`)
    await sleep(LOOK_EVERY_MS, signal)
  }
}

/** @throws RescoreError CAPTURE_SWITCHED, CAPTURE_OTHER_DATABASE, …; the signal's reason when it aborts first */
async function setUp(options: FollowDebeziumOptions): Promise<void> {
  const { pool, signal, slot, publication, carrier, onWaiting, beforeNoted } = options
  await refuseOtherCarrier(pool, carrier)
  const identity = await identify(pool)
  const left = await readLeft(pool)
  if (left !== undefined) {
    recogniseDatabase(identity, left)
    if (left.slot === slot) return
    throw refuse('CAPTURE_DEBEZIUM_LOST', `Rescore read from the slot '${left.slot}', not '${slot}'.`, MEND)
  }
  for (let reason = await obstacle(pool, options); reason !== null; reason = await obstacle(pool, options)) {
    onWaiting(reason.message)
    await sleep(LOOK_EVERY_MS, signal)
  }
  await untilVisible(options)
  await beforeNoted()
  await pool.query(
    `insert into rescore.capture (system_id, timeline, slot, publication, carrier, confirmed_lsn)
     values ($1, $2, $3, $4, $5, '0/0') on conflict do nothing`,
    [identity.system, identity.timeline, slot, publication, carrier],
  )
}

async function watch(options: FollowDebeziumOptions): Promise<void> {
  const { pool, signal, slot, onWatched } = options
  for (;;) {
    const reason = await obstacle(pool, options)
    if (reason !== null) throw reason
    onWatched((await readDebeziumSlot(pool, slot))?.active === true)
    await sleep(WATCH_EVERY_MS, signal)
  }
}

/** For a service on the embedded log. @throws RescoreError CONFIG_CAPTURE */
export function refuseDebezium({ capture }: Pick<ProjectConfig, 'capture'>): void {
  if (capture !== 'debezium') return
  throw refuse(
    'CONFIG_CAPTURE',
    "capture: 'debezium' reads the topics of a Debezium connector, and without Kafka there are none.",
    'Set KAFKA_BROKERS and run `rescore start`, or take capture out of rescore.config.ts.',
  )
}

/** Until the signal aborts. @throws RescoreError of fate `stop` when changes may be missing */
export async function followDebezium(options: FollowDebeziumOptions): Promise<void> {
  const { signal } = options
  let isSetUp = false
  while (!signal.aborted) {
    try {
      if (!isSetUp) await setUp(options)
      isSetUp = true
      await watch(options)
    } catch (error) {
      if (signal.aborted) return
      if (!isRetriableDbError(error)) throw error
      options.onWaiting('PostgreSQL cannot be asked')
      // Rejects only when the signal aborts, which the loop's condition sees.
      await sleep(LOOK_EVERY_MS, signal).catch(() => undefined)
    }
  }
}
