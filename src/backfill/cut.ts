/**
 * Cuts the next keys of a backfill into chunks, in key order, a few ahead of the work.
 *
 * Invariant: the cursor and the chunks it stands for move in one transaction under the job's row lock, so that several
 * workers cut every key exactly once and a crash leaves none out.
 */
import { type Pool, quoteIdent, withTransaction } from '../db/pool.ts'
import type { EntityNode } from '../graph/graph.ts'
import { keyType } from '../graph/key-type.ts'
import { KEYS_PER_CHUNK } from './create.ts'
import type { Backfill } from './job.ts'
import { changedIn, scopeSql } from './scope.ts'

const CHUNKS_AHEAD = 8
const LOOKED_AT = CHUNKS_AHEAD * KEYS_PER_CHUNK

/**
 * Expected when the job was made, and neither cut nor done: brought up to date by a change (or deleted) before its turn.
 * Nobody counts meanwhile, because the job's row is held.
 */
const COUNT_FRESH = `update rescore.backfill b set fresh = b.fresh + greatest(0, b.total
    - (b.changed + b.unchanged + b.fresh + b.failed + b.gone)
    - (select coalesce(sum(cardinality(c.keys)), 0) from rescore.backfill_chunk c where c.backfill = b.id))
  where b.id = $1 and b.is_total_exact and b.policy = 'stale'`

/** Returns at once where another worker is at it. */
export async function cutAhead(pool: Pool, node: EntityNode, { id, features, policy, condition }: Backfill) {
  await withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ after_key: string | null; seq: bigint }>(
      `select after_key, (select coalesce(max(seq) + 1, 0) from rescore.backfill_chunk where backfill = $1) as seq
       from rescore.backfill where id = $1 and state = 'running' and not is_cut for update skip locked`,
      [id],
    )
    const [job] = rows
    if (job === undefined) return
    const epoch = await changedIn(client, node, features)
    const key = `e.${quoteIdent(node.key)}`
    const found = await client.query<{ key: string }>(
      `select ${key}::text as key ${scopeSql(node, { features, policy, condition })}
         and ($2::text is null or ${key} > $2::text::${keyType(node)})
       order by ${key} limit ${LOOKED_AT}`,
      [epoch, job.after_key],
    )
    const keys = found.rows.map((row) => row.key)
    for (let from = 0; from < keys.length; from += KEYS_PER_CHUNK) {
      await client.query('insert into rescore.backfill_chunk (backfill, seq, keys) values ($1, $2, $3)', [
        id,
        job.seq + BigInt(from / KEYS_PER_CHUNK),
        keys.slice(from, from + KEYS_PER_CHUNK),
      ])
    }
    await client.query('update rescore.backfill set after_key = coalesce($2, after_key), is_cut = $3 where id = $1', [
      id,
      keys.at(-1) ?? null,
      keys.length < LOOKED_AT,
    ])
    if (keys.length < LOOKED_AT) await client.query(COUNT_FRESH, [id])
  })
}
