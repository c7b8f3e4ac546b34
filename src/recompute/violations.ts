/**
 * Values that break a rule of their feature, kept while they do.
 *
 * Invariants: in the transaction that computed them. One row a feature and entity, in key order, so that two writers
 * cannot deadlock; a feature that was not computed keeps its row, one that passes loses it, and so does an entity that
 * is gone. An effect 'aside' is there exactly while the entity is in rescore.quarantine for that feature.
 */
import type { Client } from '../db/pool.ts'
import type { Violation } from './expect.ts'
import { textArray } from './literals.ts'
import { failureOf, type Outcome } from './outcome.ts'

const KEEP = `insert into rescore.violation as v (entity, key, feature, rule, effect, otherwise, value)
  select $1, u.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[]::json[]) as u order by 2, 3
  on conflict (entity, key, feature) do update set rule = excluded.rule, effect = excluded.effect,
    otherwise = excluded.otherwise, value = excluded.value, last_seen = excluded.last_seen,
    since = case when v.rule = excluded.rule then v.since else excluded.since end,
    accepted_at = case when v.value::text = excluded.value::text then v.accepted_at end`

const FORGET = `delete from rescore.violation v using (
    select entity, key, feature from rescore.violation
    where entity = $1 and (key, feature) in (select * from unnest($2::text[], $3::text[]))
    order by key, feature for update) gone
  where (v.entity, v.key, v.feature) = (gone.entity, gone.key, gone.feature)`

type Pair<T> = readonly [key: string, what: T]

/** Features of the entity whose open violations are over. */
function overOf(outcome: Outcome): readonly string[] {
  const { row, computed } = outcome
  if (row.open.size === 0) return []
  if (computed === null) return [...row.open.keys()]
  const failed = failureOf(outcome)?.feature
  if (failed === undefined) return computed.passed
  // It is put aside for one feature alone; of the others nothing new is known.
  return [...row.open].filter(([feature, { effect }]) => effect === 'aside' && feature !== failed).map(([name]) => name)
}

/** @param outcomes without those whose effects a newer snapshot has refused */
export async function writeViolations(client: Client, entity: string, outcomes: readonly Outcome[]): Promise<void> {
  const kept = outcomes.flatMap(({ row, computed }) =>
    (computed?.violations ?? []).map((violation): Pair<Violation> => [row.key, violation]),
  )
  const over = outcomes.flatMap((outcome) => overOf(outcome).map((name): Pair<string> => [outcome.row.key, name]))
  if (over.length > 0) {
    await client.query({
      name: 'rescore-violations-over',
      text: FORGET,
      values: [entity, textArray(over.map(([key]) => key)), textArray(over.map(([, feature]) => feature))],
    })
  }
  if (kept.length === 0) return
  const column = (text: (violation: Violation) => string) => textArray(kept.map(([, violation]) => text(violation)))
  await client.query({
    name: 'rescore-violations-kept',
    text: KEEP,
    values: [
      entity,
      textArray(kept.map(([key]) => key)),
      column(({ feature }) => feature),
      column(({ rule }) => rule),
      column(({ effect }) => effect),
      column(({ otherwise }) => otherwise),
      column(({ value }) => JSON.stringify(value)),
    ],
  })
}
