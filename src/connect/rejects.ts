/**
 * Records that were set aside, looked at, tried again or dropped.
 * Invariant: one that is tried again stays until it has landed: what is refused anew is only seen once more.
 */
import type { Pool } from '../db/pool.ts'
import type { SourceRow, Table } from '../define/index.ts'
import type { BudgetBook } from './budget.ts'
import { fitMessage } from './fit.ts'
import { land } from './landing.ts'
import type { RunConnectorOptions } from './options.ts'
import { streamOf } from './streams.ts'
import { readKeys } from './sync.ts'

export interface RejectRow {
  readonly id: bigint
  readonly connector: string
  readonly stream: string
  readonly table: string
  readonly key: string | null
  readonly code: string
  readonly reason: string
  readonly seen: number
  readonly firstSeenAt: string
  readonly lastSeenAt: string
  /** JSON of the record as it came. */
  readonly raw: string
}

const COLUMNS = `id, connector, stream, source_table as table, key, code, reason, seen, first_seen_at::text as "firstSeenAt",
  last_seen_at::text as "lastSeenAt", raw`

export interface RejectFilter {
  readonly ids?: readonly bigint[]
  readonly connector?: string
}

/** The last seen first; at most `limit`. */
export async function listRejects(pool: Pool, filter: RejectFilter = {}, limit = 1_000): Promise<readonly RejectRow[]> {
  const { rows } = await pool.query<RejectRow>(
    `select ${COLUMNS} from rescore.reject where ($1::bigint[] is null or id = any($1)) and ($2::text is null or connector = $2)
     order by last_seen_at desc, id desc limit $3`,
    [filter.ids?.map(String) ?? null, filter.connector ?? null, limit],
  )
  return rows
}

/** @returns how many were dropped */
export async function dropRejects(pool: Pool, ids: readonly bigint[]): Promise<number> {
  const { rowCount } = await pool.query('delete from rescore.reject where id = any($1)', [ids.map(String)])
  return rowCount ?? 0
}

function rowIn(raw: string): SourceRow | null {
  const parsed: unknown = JSON.parse(raw)
  return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : null
}

/**
 * Tries one again: read anew by its key where the stream can, else as it was kept.
 * @returns whether it has landed
 */
export async function replayReject(
  options: RunConnectorOptions,
  book: BudgetBook,
  reject: RejectRow,
): Promise<boolean> {
  const { connector, pool } = options
  const declared = connector.streams.find(({ name }) => name === reject.stream)
  const table: Table | undefined = declared?.tables.find(({ id }) => id === reject.table)
  if (declared === undefined || table === undefined) return false
  const stream = streamOf(declared)
  const [column] = table.key
  if (stream.read !== undefined && reject.key !== null && table.key.length === 1 && column !== undefined) {
    await readKeys(options, declared, book, [{ [column]: reject.key }])
  } else {
    const row = rowIn(reject.raw)
    if (row === null) return false
    const message = fitMessage({ op: 'upsert', table, row }, () => undefined)
    await land(
      pool,
      { connector: connector.name, stream: stream.name, stateVersion: stream.state.version },
      [message],
      null,
    )
  }
  const { rowCount } = await pool.query('delete from rescore.reject where id = $1 and seen = $2', [
    reject.id,
    reject.seen,
  ])
  return rowCount === 1
}
