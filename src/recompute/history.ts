/**
 * The history of feature rows: what moved, because of what, since when.
 * Invariant: one row per feature row whose values moved, in the same transaction; a row that only tells of new
 * definitions has none. Valid from the commit of the newest change behind it.
 */
import { formatLsn } from '../db/lsn.ts'
import type { FeatureMove } from '../log/stage.ts'
import { plainArray, textArray, timestampText } from './literals.ts'
import type { Outcome } from './outcome.ts'
import type { WriteContext } from './write.ts'

const INSERT = `insert into rescore.feature_history
    (entity, key, op, changed, causes, cause_count, valid_at, epoch, snap_lsn)
  select $1, u.key, u.op, u.changed::jsonb, u.causes::jsonb, u.cause_count, coalesce(u.valid_at, now()), $8, $9
  from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::timestamptz[])
    as u(key, op, changed, causes, cause_count, valid_at)`

function operationOf({ row }: Outcome): 'insert' | 'update' | 'delete' {
  if (!row.exists) return 'delete'
  return row.epoch === null ? 'insert' : 'update'
}

function changedOf(moves: readonly FeatureMove[]): string {
  return JSON.stringify(Object.fromEntries(moves.map(({ feature, from, to }) => [feature, { from, to }])))
}

/** @param outcomes those that were written */
export async function writeHistory(
  { client, snapshotLsn, epoch }: WriteContext,
  entity: string,
  outcomes: readonly Outcome[],
): Promise<void> {
  const told = outcomes.filter(
    (outcome) => operationOf(outcome) !== 'update' || (outcome.computed?.moves.length ?? 0) > 0,
  )
  if (told.length === 0) return
  await client.query({
    name: 'rescore-feature-history',
    text: INSERT,
    values: [
      entity,
      textArray(told.map(({ row }) => row.key)),
      textArray(told.map(operationOf)),
      textArray(told.map(({ computed }) => (computed === null ? null : changedOf(computed.moves)))),
      textArray(told.map(({ dirty }) => JSON.stringify(dirty?.causes ?? []))),
      plainArray(told.map(({ dirty }) => dirty?.causeCount ?? 0)),
      textArray(told.map(({ dirty }) => (dirty === null ? null : timestampText(dirty.newestCauseMs)))),
      epoch,
      formatLsn(snapshotLsn),
    ],
  })
}
