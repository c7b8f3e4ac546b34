/**
 * How every stream of every connector is doing.
 * Invariant: read-only; a stream that has never run is in it too.
 */
import { SLOT_NOTE, type SlotNote } from '../copy/state.ts'
import { type Pool, quoteTable } from '../db/pool.ts'
import type { Connector } from '../define/index.ts'

export interface StreamReport {
  readonly connector: string
  readonly stream: string
  /** In all its tables; null: they are not made yet. */
  readonly rows: number | null
  readonly lastReadAt: string | null
  /** Since the end of its last pass. */
  readonly lagSeconds: number | null
  readonly nextRunAt: string | null
  readonly rejects: number
  /** `key left/calls` of each budget, as counted at the end of the last pass. */
  readonly budgets: readonly string[]
  readonly lastError: string | null
  /** Fields of the source that are new to it, gone or of another type since it was first read. */
  readonly drift: readonly string[]
  /** What the stream's replication slot keeps at its source, and since when that is known; null: it has none. */
  readonly sourceSlot: { readonly slot: string; readonly retainedBytes: number; readonly at: string } | null
}

interface StatusRow {
  readonly lastReadAt: string | null
  readonly lagSeconds: number | null
  readonly nextRunAt: string | null
  readonly lastError: string | null
  readonly budgets: readonly { readonly key: string; readonly calls: number; readonly used: number }[]
}

const STATUS = `select last_read_at::text as "lastReadAt", extract(epoch from clock_timestamp() - last_read_at)::float8 as "lagSeconds",
    next_run_at::text as "nextRunAt", case when last_error_at > coalesce(last_read_at, '-infinity') then last_error end as "lastError", budgets
  from rescore.stream_status where connector = $1 and stream = $2`

const DRIFT = `select field || case when gone_at is not null then ' is gone' else ': ' || former_type || ' → ' || type end as text
  from rescore.source_field where connector = $1 and source_table = any($2) and (gone_at is not null or former_type is not null)
  order by field`

const SLOT = 'select value from rescore.connector_memory where connector = $1 and stream = $2 and name = $3'

async function readSourceSlot(pool: Pool, connector: string, stream: string): Promise<StreamReport['sourceSlot']> {
  const { rows } = await pool.query<{ value: string }>(SLOT, [connector, stream, SLOT_NOTE])
  const [note] = rows
  if (note === undefined) return null
  const { slot, retainedBytes, atMs }: SlotNote = JSON.parse(note.value)
  return { slot, retainedBytes, at: new Date(atMs).toISOString() }
}

async function countRows(pool: Pool, tables: readonly string[]): Promise<number | null> {
  let rows = 0
  for (const table of tables) {
    const name = quoteTable(table)
    const there = await pool.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name])
    if (there.rows[0]?.there !== true) return null
    const found = await pool.query<{ count: number }>(`select count(*)::float8 as count from ${name}`)
    rows += found.rows[0]?.count ?? 0
  }
  return rows
}

async function reportStream(
  pool: Pool,
  connector: string,
  stream: string,
  tables: readonly string[],
): Promise<StreamReport> {
  const status = await pool.query<StatusRow>(STATUS, [connector, stream])
  const rejects = await pool.query<{ count: number }>(
    'select count(*)::float8 as count from rescore.reject where connector = $1 and stream = $2',
    [connector, stream],
  )
  const drift = await pool.query<{ text: string }>(DRIFT, [connector, tables])
  const [found] = status.rows
  return {
    connector,
    stream,
    rows: await countRows(pool, tables),
    lastReadAt: found?.lastReadAt ?? null,
    lagSeconds: found?.lagSeconds ?? null,
    nextRunAt: found?.nextRunAt ?? null,
    rejects: rejects.rows[0]?.count ?? 0,
    budgets: (found?.budgets ?? []).map(({ key, calls, used }) => `${key} ${Math.max(0, calls - used)}/${calls}`),
    lastError: found?.lastError ?? null,
    drift: drift.rows.map(({ text }) => text),
    sourceSlot: await readSourceSlot(pool, connector, stream),
  }
}

export async function reportConnectors(pool: Pool, connectors: readonly Connector[]): Promise<readonly StreamReport[]> {
  const reports: StreamReport[] = []
  for (const connector of connectors) {
    for (const { name, tables } of connector.streams) {
      const ids = tables.map(({ id }) => id)
      reports.push(await reportStream(pool, connector.name, name, ids))
    }
  }
  return reports
}
