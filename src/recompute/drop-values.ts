/**
 * A column of values that goes.
 * Invariant: the history says so of every value that was there, or it would end with a value that is stored nowhere. In
 * the transaction in which the column goes.
 */
import { type Client, quoteIdent, quoteTable } from '../db/pool.ts'

/** @param featureTable `schema.name`; of an entity whose rows stay */
export async function tellValuesGone(
  client: Client,
  { entity, featureTable }: { readonly entity: string; readonly featureTable: string },
  feature: string,
): Promise<void> {
  const column = quoteIdent(feature)
  await client.query(
    `insert into rescore.feature_history
       (entity, key, op, changed, causes, cause_count, valid_at, epoch, snap_lsn)
     select $1, key::text, 'update',
       json_build_object($2::text, json_build_object('from', ${column}, 'to', null)), '[]', 0, now(), epoch, snap_lsn
     from ${quoteTable(featureTable)} where ${column} is not null order by key`,
    [entity, feature],
  )
}
