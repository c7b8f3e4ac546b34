/**
 * The ledger of deliveries: what each destination was last told of each entity, and what is to be looked at.
 *
 * Invariants: a reason to look is never lost: it is taken over from rescore.delivery_due in one transaction, and cleared
 * only under the mark it was read with. A write is counted and its values noted before it is made, and acknowledged
 * after; a crash between the two repeats it with the same id. Nothing here talks to a destination.
 */
import type { Pool } from '../db/pool.ts'
import { withTransaction } from '../db/pool.ts'
import type { Delivery } from '../define/index.ts'
import type { Classes, Values } from './difference.ts'

/** Takes over up to `limit` reasons, for every destination of their entities. @returns how many */
export async function takeOverDue(pool: Pool, deliveries: readonly Delivery[], limit = 5_000): Promise<number> {
  const { rows } = await pool.query<{ taken: bigint }>(
    `with taken as (
       delete from rescore.delivery_due where id in (select id from rescore.delivery_due order by id limit $3)
       returning entity, key),
     marked as (
       insert into rescore.delivery as d (destination, key, mark, due_at)
       select n.name, k.key, nextval('rescore.mark'), clock_timestamp()
       from (select distinct entity, key from taken) k
       join unnest($1::text[], $2::text[]) as n (name, entity) using (entity) order by 1, 2
       on conflict (destination, key) do update set mark = excluded.mark,
         due_at = case when d.attempts > 0 then coalesce(d.due_at, excluded.due_at)
                       else least(d.due_at, excluded.due_at) end)
     select count(*) as taken from taken`,
    [deliveries.map(({ name }) => name), deliveries.map(({ entity }) => entity.name), limit],
  )
  return Number(rows[0]?.taken ?? 0)
}

export interface Due {
  readonly key: string
  readonly mark: bigint
  readonly sent: Values | null
  readonly sentAtMs: number | null
  /** The last write begun and not acknowledged. */
  readonly pending: { readonly number: bigint; readonly values: Values } | null
  /** Of a write begun now; never given twice. */
  readonly nextNumber: bigint
  /** Fields that hold nobody here knows what: a write of them was begun and not acknowledged. */
  readonly unsure: readonly string[]
  readonly attempts: number
  /** Writes of the last hour. */
  readonly hourWrites: number
  /** Empty: there is no classification any more. */
  readonly classes: Classes
}

/** What is due, longest due first, with the classifications as they are in the same snapshot. */
export async function readDue(pool: Pool, delivery: Delivery, limit: number): Promise<readonly Due[]> {
  const { rows } = await pool.query<{
    key: string
    mark: bigint
    sent: Values | null
    sent_at_ms: number | null
    pending: Values | null
    begun: bigint | null
    next_number: bigint
    unsure: string[]
    attempts: number
    hour_writes: number
    classes: Classes | null
  }>(
    `select d.key, d.mark, d.sent, extract(epoch from d.sent_at)::float8 * 1000 as sent_at_ms, d.pending, d.begun, d.unsure,
       nextval('rescore.mark') as next_number,
       d.attempts, case when d.hour_at > clock_timestamp() - interval '1 hour' then d.hour_writes else 0 end as hour_writes,
       (select jsonb_object_agg(c.model, jsonb_build_array(c.label, c.probability))
        from rescore.classification c where c.key = d.key and c.model = any($2)) as classes
     from rescore.delivery d
     where d.destination = $1 and d.due_at <= clock_timestamp() order by d.due_at, d.key limit $3`,
    [delivery.name, modelsOf(delivery), limit],
  )
  return rows.map((row) => ({
    key: row.key,
    mark: row.mark,
    sent: row.sent,
    sentAtMs: row.sent_at_ms,
    pending: row.pending === null || row.begun === null ? null : { number: row.begun, values: row.pending },
    nextNumber: row.next_number,
    unsure: row.unsure,
    attempts: row.attempts,
    hourWrites: row.hour_writes,
    classes: row.classes ?? {},
  }))
}

export function modelsOf({ fields }: Delivery): readonly string[] {
  return [...new Set(Object.values(fields).map(({ model }) => model.name))]
}

/** What there is nothing to write of: cleared, and what the source is known to hold taken over. */
export interface Settled extends Pick<Due, 'key' | 'mark'> {
  readonly known: Values | null
  readonly why: 'same' | 'held'
}

export async function clearDue(pool: Pool, delivery: Delivery, settled: readonly Settled[]): Promise<void> {
  if (settled.length === 0) return
  await withTransaction(pool, {}, async (client) => {
    await client.query(
      `update rescore.delivery d set pending = null, unsure = '{}', attempts = 0, code = null, reason = null, failed_at = null,
         sent = coalesce(u.known::jsonb, d.sent), due_at = case when d.mark = u.mark then null else d.due_at end
       from unnest($2::text[], $3::bigint[], $4::text[]) as u (key, mark, known)
       where d.destination = $1 and d.key = u.key`,
      [
        delivery.name,
        settled.map(({ key }) => key),
        settled.map(({ mark }) => mark),
        settled.map(({ known }) => (known === null ? null : JSON.stringify(known))),
      ],
    )
    const held = settled.filter(({ why }) => why === 'held').length
    await client.query(`update rescore.delivery_destination set same = same + $2, held = held + $3 where name = $1`, [
      delivery.name,
      settled.length - held,
      held,
    ])
  })
}

/** Of entities that are gone and were never delivered: nothing is to be remembered. */
export async function forget(
  pool: Pool,
  delivery: Delivery,
  gone: readonly Pick<Due, 'key' | 'mark'>[],
): Promise<void> {
  if (gone.length === 0) return
  await pool.query(
    `delete from rescore.delivery d using unnest($2::text[], $3::bigint[]) as u (key, mark)
     where d.destination = $1 and d.key = u.key and d.mark = u.mark`,
    [delivery.name, gone.map(({ key }) => key), gone.map(({ mark }) => mark)],
  )
}

export interface Begun {
  readonly key: string
  readonly number: bigint
  /** All the destination holds once it is written. */
  readonly values: Values
  /** Fields nobody is sure of until it is. */
  readonly unsure: readonly string[]
}

/**
 * Counts writes against the day and notes what is about to be written.
 * @returns how many of them the day still allows, the first ones
 */
export async function reserve(pool: Pool, delivery: Delivery, writes: readonly Begun[]): Promise<number> {
  const { perDay } = delivery.limits
  return await withTransaction(pool, {}, async (client) => {
    await client.query(
      `insert into rescore.delivery_day (destination, day, writes) values ($1, (clock_timestamp() at time zone 'UTC')::date, 0)
       on conflict do nothing`,
      [delivery.name],
    )
    const { rows } = await client.query<{ granted: bigint }>(
      `with before as (
         select day, writes from rescore.delivery_day
         where destination = $1 and day = (clock_timestamp() at time zone 'UTC')::date for update),
       counted as (
         update rescore.delivery_day d
         set writes = b.writes + least($2::bigint, greatest(0, coalesce($3::bigint, b.writes + $2::bigint) - b.writes))
         from before b where d.destination = $1 and d.day = b.day returning d.writes - b.writes as granted)
       select granted from counted`,
      [delivery.name, writes.length, perDay],
    )
    const granted = writes.slice(0, Number(rows[0]?.granted ?? 0))
    await client.query(
      `update rescore.delivery d set pending = u.pending::jsonb, begun = u.begun,
         unsure = array(select unnest(d.unsure) union select jsonb_array_elements_text(u.unsure::jsonb) order by 1),
         hour_writes = case when d.hour_at > clock_timestamp() - interval '1 hour' then d.hour_writes + 1 else 1 end,
         hour_at = case when d.hour_at > clock_timestamp() - interval '1 hour' then d.hour_at else clock_timestamp() end
       from unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) as u (key, pending, unsure, begun) where d.destination = $1 and d.key = u.key`,
      [
        delivery.name,
        granted.map(({ key }) => key),
        granted.map(({ values }) => JSON.stringify(values)),
        granted.map(({ unsure }) => JSON.stringify(unsure)),
        granted.map(({ number }) => number),
      ],
    )
    return granted.length
  })
}
