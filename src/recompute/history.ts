/**
 * The history of feature rows: what moved, because of what, since when.
 * Invariant: one row per feature row whose values moved, or whose silence ended, in the same transaction; a row that only
 * tells of new definitions has none. Valid from the commit of the newest change behind it.
 */
import { formatLsn } from '../db/lsn.ts'
import type { FeatureValue } from '../define/index.ts'
import type { FeatureMove } from '../log/stage.ts'
import { plainArray, textArray, timestampText } from './literals.ts'
import { markOf, type Outcome, type WriteContext } from './outcome.ts'

/**
 * Documents come as lines: JSON holds no line break, so PostgreSQL cuts them apart without looking at them. In an array
 * they would be quoted here and unquoted there, in one document for all parsed twice.
 */
const INSERT = `insert into rescore.feature_history
    (entity, key, op, changed, causes, cause_count, valid_at, epoch, snap_lsn)
  select $1, u.key, u.op, u.changed::json, u.causes::json, u.cause_count, coalesce(u.valid_at, now()), $8, $9
  from rows from (unnest($2::text[]), unnest($3::text[]), string_to_table($4, E'\\n', ''), string_to_table($5, E'\\n'),
      unnest($6::integer[]), unnest($7::timestamptz[]))
    as u(key, op, changed, causes, cause_count, valid_at)`

function operationOf({ row }: Outcome): 'insert' | 'update' | 'delete' {
  if (!row.exists) return 'delete'
  return row.epoch === null ? 'insert' : 'update'
}

/** Stored values are finite, so only texts need more than their plain form. */
function valueJson(value: FeatureValue): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}

/** What an insert moves, it moves from nothing, which needs no saying. */
function changedJson(moves: readonly FeatureMove[], isInsert: boolean): string {
  // Feature names are identifiers (a-z, 0-9, _). Put together by hand: objects of this many keys are slow to make.
  let members = ''
  for (const { feature, from, to } of moves) {
    const before = isInsert ? '' : `"from":${valueJson(from)},`
    members += `${members === '' ? '' : ','}"${feature}":{${before}"to":${valueJson(to)}}`
  }
  return `{${members}}`
}

/** @param outcomes those that were written */
export async function writeHistory(context: WriteContext, entity: string, outcomes: readonly Outcome[]): Promise<void> {
  const { client, snapshotLsn, epoch, job } = context
  const told = outcomes.filter(
    (outcome) =>
      operationOf(outcome) !== 'update' ||
      (outcome.computed?.moves.length ?? 0) > 0 ||
      // What moved silently is scored now: because of this.
      (outcome.row.silencedBy !== null && markOf(outcome, context) === null),
  )
  if (told.length === 0) return
  const operations = told.map(operationOf)
  // An empty line stands for null.
  const changed = told.map(({ computed }, index) =>
    computed === null ? '' : changedJson(computed.moves, operations[index] === 'insert'),
  )
  const asked = job === null ? [] : [job.cause]
  await client.query({
    name: 'rescore-feature-history',
    text: INSERT,
    values: [
      entity,
      textArray(told.map(({ row }) => row.key)),
      textArray(operations),
      changed.join('\n'),
      told.map(({ dirty }) => JSON.stringify(dirty?.causes ?? asked)).join('\n'),
      plainArray(told.map(({ dirty }) => dirty?.causeCount ?? asked.length)),
      textArray(told.map(({ dirty }) => (dirty === null ? null : timestampText(dirty.newestCauseMs)))),
      epoch,
      formatLsn(snapshotLsn),
    ],
  })
}
