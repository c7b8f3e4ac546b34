/**
 * What a destination holds, as far as its connector has landed it.
 *
 * The ledger knows what we wrote, the mirror what has become of it, later. So the mirror is believed when the source
 * changed the record after our last write, or when we never wrote: values that are there already are not written again,
 * and a value somebody changed by hand is put right. Reads only.
 */
import { type Pool, quoteIdent, quoteTable } from '../db/pool.ts'
import { columnOf, type DeliveredValue, type Delivery, POSTGRES_TYPE } from '../define/index.ts'
import type { Values } from './difference.ts'
import type { Due } from './ledger.ts'

export interface Mirrored {
  /** '' for what is empty there. */
  readonly values: Values
  readonly modifiedAtMs: number | null
}

export async function readMirror(
  pool: Pool,
  delivery: Delivery,
  keys: readonly string[],
): Promise<ReadonlyMap<string, Mirrored>> {
  if (delivery.kind !== 'connector' || delivery.mirror === null || keys.length === 0) return new Map()
  const { mirror, entity, fields } = delivery
  const { table } = entity
  const key = table.key[0] ?? ''
  const columns = mirror.columns.map((name) => `${quoteIdent(name)}::text as ${quoteIdent(name)}`)
  const { rows } = await pool.query<Record<string, string | number | null>>(
    `select ${quoteIdent(key)}::text as " key", extract(epoch from ${quoteIdent(mirror.modifiedAt)})::float8 * 1000 as " at",
       ${columns.join(', ')}
     from ${quoteTable(table.id)}
     where ${quoteIdent(key)} in (select k::${POSTGRES_TYPE[columnOf(table, key).kind]} from unnest($1::text[]) k)`,
    [keys],
  )
  return new Map(
    rows.map((row) => {
      const values: Record<string, DeliveredValue> = {}
      for (const name of mirror.columns) {
        const text = row[name]
        if (typeof text !== 'string') values[name] = ''
        else values[name] = fields[name]?.value === 'probability' ? Number(text) : text
      }
      const at = row[' at']
      return [String(row[' key']), { values, modifiedAtMs: typeof at === 'number' ? at : null }]
    }),
  )
}

/** null: nothing is known, or nothing is there. */
export function knownValues(due: Due, mirrored: Mirrored | undefined): Values | null {
  const { sent, sentAtMs, unsure } = due
  const told: Values = Object.fromEntries(Object.entries(sent ?? {}).filter(([name]) => !unsure.includes(name)))
  const isNewer =
    mirrored !== undefined &&
    (sentAtMs === null || (mirrored.modifiedAtMs !== null && mirrored.modifiedAtMs > sentAtMs))
  // A write that is under way may not have come round yet.
  if (!isNewer || unsure.length > 0) return sent === null ? null : told
  return { ...told, ...mirrored.values }
}
