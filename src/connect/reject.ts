/**
 * Records that could not be landed, kept whole in rescore.reject with their reason until replayed or dropped.
 * Invariant: one row per record and reason, however often it is seen; written in the transaction of its neighbours.
 */
import type { Queryable } from '../db/pool.ts'
import type { SourceRow, Table } from '../define/index.ts'
import type { Landable, StreamIdentity } from './landing.ts'
import { keyText } from './landing-sql.ts'

export interface Reject {
  readonly table: Table
  readonly key: string | null
  readonly raw: unknown
  readonly code: string
  readonly reason: string
}

/** PostgreSQL's text cannot hold NUL, nor half a surrogate pair. */
function storable(value: unknown): string {
  const json = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)) ?? ''
  return json.toWellFormed().replaceAll('\0', '\uFFFD')
}

export async function saveReject(client: Queryable, identity: StreamIdentity, reject: Reject): Promise<void> {
  await client.query(
    `insert into rescore.reject (connector, stream, source_table, key, raw, code, reason)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (connector, stream, source_table, key, code) do update
       set raw = excluded.raw, reason = excluded.reason, seen = reject.seen + 1, last_seen_at = clock_timestamp()`,
    [
      identity.connector,
      identity.stream,
      reject.table.id,
      reject.key === null ? null : storable(reject.key).slice(1, -1),
      storable(reject.raw),
      reject.code,
      storable(reject.reason).slice(1, -1).replaceAll('\\"', '"'),
    ],
  )
}

type OneRecord = Extract<Landable, { op: 'upsert' | 'delete' | 'merge' | 'replace' }>

/** Whether a refused message can be set aside without its neighbours: the others speak of many records, or of none. */
export function isOneRecord(message: Landable): message is OneRecord {
  return message.op === 'upsert' || message.op === 'delete' || message.op === 'merge' || message.op === 'replace'
}

function subjectOf(message: OneRecord): SourceRow {
  if (message.op === 'upsert') return message.row
  if (message.op === 'delete') return message.key
  return message.op === 'merge' ? message.from : message.scope
}

export function rejectOf(message: OneRecord, error: Error): Reject {
  const code = 'code' in error && typeof error.code === 'string' ? `DB_${error.code}` : 'DB_REFUSED'
  const at = subjectOf(message)
  return {
    table: message.table,
    key: message.op === 'replace' ? Object.values(at).join('/') : keyText(message.table, at),
    raw: message.op === 'replace' ? { scope: message.scope, rows: message.rows } : at,
    code,
    reason: error.message,
  }
}
