/**
 * The history of feature rows: what moved, because of what, since when.
 * Invariant: one row per feature row whose values moved, in the same transaction; a row that only tells of new
 * definitions has none. Valid from the commit of the newest change behind it.
 */
import { formatLsn } from '../db/lsn.ts'
import type { FeatureValue } from '../define/index.ts'
import type { FeatureMove } from '../log/stage.ts'
import { timestampText } from './literals.ts'
import type { Outcome, WriteContext } from './outcome.ts'

/** One document for all rows: arrays of documents would be quoted here and unquoted there, character by character. */
const INSERT = `insert into rescore.feature_history
    (entity, key, op, changed, causes, cause_count, valid_at, epoch, snap_lsn)
  select $1, u.key, u.op, u.changed, u.causes, u.cause_count, coalesce(u.valid_at, now()), $3, $4
  from json_to_recordset($2::json)
    as u(key text, op text, changed json, causes json, cause_count integer, valid_at timestamptz)`

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

function rowJson(outcome: Outcome): string {
  const { row, dirty, computed } = outcome
  const op = operationOf(outcome)
  const changed = computed === null ? 'null' : changedJson(computed.moves, op === 'insert')
  const validAt = dirty === null ? 'null' : `"${timestampText(dirty.newestCauseMs)}"`
  return (
    `{"key":${JSON.stringify(row.key)},"op":"${op}","changed":${changed},` +
    `"causes":${JSON.stringify(dirty?.causes ?? [])},"cause_count":${dirty?.causeCount ?? 0},"valid_at":${validAt}}`
  )
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
    values: [entity, `[${told.map(rowJson).join(',')}]`, epoch, formatLsn(snapshotLsn)],
  })
}
