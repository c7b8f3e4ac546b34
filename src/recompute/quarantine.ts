/**
 * Entities that cannot be computed, kept aside with the reason.
 * Invariant: an entity is in quarantine exactly while its last recompute failed; its stored row stays as it was. The row
 * is written only when it says something new, so a failure that repeats writes nothing.
 */
import type { Client } from '../db/pool.ts'
import { textArray } from './literals.ts'
import { failureOf, type Outcome, type WriteContext } from './outcome.ts'

const PUT_ASIDE = `insert into rescore.quarantine as q (entity, key, feature, code, reason, inputs, epoch)
  select $1, u.*, $7 from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[]::json[]) as u order by 2
  on conflict (entity, key) do update set feature = excluded.feature, code = excluded.code, reason = excluded.reason,
    inputs = excluded.inputs, epoch = excluded.epoch
    where (q.feature, q.code, q.reason, q.epoch)
      is distinct from (excluded.feature, excluded.code, excluded.reason, excluded.epoch)`

export async function putAside(
  { client, epoch }: WriteContext,
  entity: string,
  outcomes: readonly Outcome[],
): Promise<void> {
  if (outcomes.length === 0) return
  const failures = outcomes.map(failureOf)
  await client.query({
    name: 'rescore-put-aside',
    text: PUT_ASIDE,
    values: [
      entity,
      textArray(outcomes.map(({ row }) => row.key)),
      textArray(failures.map((failure) => failure?.feature ?? null)),
      textArray(failures.map((failure) => failure?.code ?? null)),
      textArray(failures.map((failure) => failure?.reason ?? null)),
      textArray(failures.map((failure) => failure?.inputs ?? null)),
      epoch,
    ],
  })
}

export async function heal(client: Client, entity: string, outcomes: readonly Outcome[]): Promise<void> {
  if (outcomes.length === 0) return
  await client.query({
    name: 'rescore-heal',
    text: 'delete from rescore.quarantine where entity = $1 and key = any($2::text[])',
    values: [entity, textArray(outcomes.map(({ row }) => row.key))],
  })
}
