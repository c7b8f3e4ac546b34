/**
 * Changes that other readers of the topics have not seen whole.
 * Invariant: read-only; nothing is wrong on a database that Rescore has not made its tables in yet.
 */
import type { Pool } from '../db/pool.ts'
import type { Problem } from './doctor.ts'

/** Nothing that is derived is old because of them. */
export async function examineUnpublished(pool: Pool): Promise<readonly Problem[]> {
  const { rows: tables } = await pool.query<{ is_there: boolean }>(
    `select to_regclass('rescore.unpublished') is not null as is_there`,
  )
  if (tables[0]?.is_there !== true) return []
  const { rows } = await pool.query<{ topic: string; count: number; largest: number }>(
    `select topic, count(*)::integer as count, max(length(value)) as largest from rescore.unpublished group by 1 order by 1`,
  )
  return rows.map(({ topic, count, largest }) => ({
    check: 'too large for Kafka',
    message: `${count} changes were published to ${topic} without their large columns; the largest has ${largest} bytes.`,
    mend: `Raise max.message.bytes of ${topic} above that (kafka-configs.sh), then rescore unpublished replay; or, where no other reader needs the values, rescore unpublished drop.`,
  }))
}
