/**
 * Whether what the log tells of can be read yet: a commit can be decoded a moment before new snapshots see it.
 * Invariant: asked first in a transaction, so that the answer is about the snapshot everything after it reads.
 */
import type { Client } from '../db/pool.ts'

/** @param xids 32-bit transaction ids as the stream carries them */
export async function areVisible(client: Client, xids: readonly number[]): Promise<boolean> {
  // Takes the snapshot in every case; the stream carries 32 bits of a 64-bit id, so the epoch is put back first.
  const { rows } = await client.query<{ visible: boolean }>({
    name: 'rescore-visible',
    text: `with s as (select pg_current_snapshot() as snapshot, pg_snapshot_xmax(pg_current_snapshot())::text::numeric as xmax)
           select coalesce(bool_and(pg_visible_in_snapshot(
             (case when full_id > xmax + 2147483648 then full_id - 4294967296 else full_id end)::text::xid8, snapshot)), true) as visible
           from s left join lateral (select div(xmax, 4294967296) * 4294967296 + x as full_id from unnest($1::bigint[]) as x) ids on true
           where full_id is not null`,
    values: [xids],
  })
  return rows[0]?.visible === true
}
