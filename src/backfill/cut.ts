/**
 * Cuts the next keys of a backfill into chunks, in key order, a few ahead of the work.
 *
 * Invariants: the cursor and the chunks it stands for move in one transaction under the job's row lock, so that several
 * workers cut every key exactly once and a crash leaves none out. Live changes wait while it cuts, so it looks at a
 * bounded number of rows however few of them are in scope.
 */
import { type Client, type Pool, quoteIdent, quoteTable, withTransaction } from '../db/pool.ts'
import type { EntityNode } from '../graph/graph.ts'
import { keyType } from '../graph/key-type.ts'
import { KEYS_PER_CHUNK } from './create.ts'
import type { Backfill } from './job.ts'
import { changedIn, type Scope, scopeSql } from './scope.ts'

/** Looked at in a millisecond or two: a condition that few rows satisfy takes many cuts, with turns of changes between. */
const LOOKED_AT = 500

interface Looked {
  readonly count: number
  readonly last: string | null
}

/** The next rows in key order, in scope or not. */
async function lookAhead(client: Client, node: EntityNode, after: string | null): Promise<Looked> {
  const key = quoteIdent(node.key)
  const { rows } = await client.query<Looked>(
    `with looked as (select ${key} as key from ${quoteTable(node.entity.table.id)}
       where $1::text is null or ${key} > $1::text::${keyType(node)} order by ${key} limit ${LOOKED_AT})
     select (select count(*)::float8 from looked) as count,
       (select l.key::text from looked l order by l.key desc limit 1) as last`,
    [after],
  )
  return rows[0] ?? { count: 0, last: null }
}

/** Those in scope; a statement of its own, because only ends that are known are planned as the short range they are. */
async function keysUpTo(client: Client, node: EntityNode, scope: Scope, after: string | null, last: string | null) {
  const key = `e.${quoteIdent(node.key)}`
  const { rows } = await client.query<{ key: string }>(
    `select ${key}::text as key ${scopeSql(node, scope)}
       and ($2::text is null or ${key} > $2::text::${keyType(node)}) and ${key} <= $3::text::${keyType(node)}
     order by ${key}`,
    [await changedIn(client, node, scope.features), after, last],
  )
  return rows.map((row) => row.key)
}

/** Returns whether all of it is cut, as far as this worker knows: another may be at it. */
export async function cutAhead(pool: Pool, node: EntityNode, { id, features, policy, condition }: Backfill) {
  return withTransaction(pool, {}, async (client) => {
    const { rows } = await client.query<{ after_key: string | null; seq: bigint }>(
      `select after_key, (select coalesce(max(seq) + 1, 0) from rescore.backfill_chunk where backfill = $1) as seq
       from rescore.backfill where id = $1 and state = 'running' and not is_cut for update skip locked`,
      [id],
    )
    const [job] = rows
    if (job === undefined) return true
    const { count, last } = await lookAhead(client, node, job.after_key)
    const keys = await keysUpTo(client, node, { features, policy, condition }, job.after_key, last)
    for (let from = 0; from < keys.length; from += KEYS_PER_CHUNK) {
      await client.query('insert into rescore.backfill_chunk (backfill, seq, keys) values ($1, $2, $3)', [
        id,
        job.seq + BigInt(from / KEYS_PER_CHUNK),
        keys.slice(from, from + KEYS_PER_CHUNK),
      ])
    }
    const isCut = count < LOOKED_AT
    await client.query('update rescore.backfill set after_key = coalesce($2, after_key), is_cut = $3 where id = $1', [
      id,
      last,
      isCut,
    ])
    return isCut
  })
}
