/**
 * Takes webhook events into the database: what the caller is told afterwards is true after a crash too.
 *
 * Invariants: one transaction; an event that was taken before does nothing, however often it comes; a record is woken
 * once however many events tell of it; an event that tells of exactly what we wrote ourselves wakes nobody.
 */
import type { Queryable } from '../../db/pool.ts'
import type { Table, WebhookEvent } from '../../define/index.ts'
import { keysNotErased } from '../suppression.ts'

/** An event of a record that was erased is not even kept: its key would be. */
async function withoutErased(
  database: Queryable,
  events: readonly WebhookEvent[],
  tableOf: (stream: string) => Table | undefined,
): Promise<readonly WebhookEvent[]> {
  const kept = new Set<WebhookEvent>(events)
  for (const stream of new Set(events.map((event) => event.stream))) {
    const table = tableOf(stream)
    if (table === undefined) continue
    const own = events.filter((event) => event.stream === stream)
    const keys = await keysNotErased(
      database,
      table,
      own.map(({ key }) => key),
    )
    for (const event of own) if (!keys.has(event.key)) kept.delete(event)
  }
  return [...kept]
}

export interface Taken {
  readonly fresh: number
  readonly echoes: number
  /** Records woken, those that were awake already included. */
  readonly woken: number
}

/** @param destinations deliveries that write to this connector's source */
export async function takeEvents(
  database: Queryable,
  connector: string,
  destinations: readonly string[],
  given: readonly WebhookEvent[],
  tableOf: (stream: string) => Table | undefined = () => undefined,
): Promise<Taken> {
  const events = await withoutErased(database, given, tableOf)
  if (events.length === 0) return { fresh: 0, echoes: 0, woken: 0 }
  const { rows } = await database.query<{ fresh: bigint; echoes: bigint; woken: bigint }>(
    `with given as (
       select distinct on (event) * from unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
         as u (event, stream, key, field, value)),
     seen as (
       insert into rescore.webhook_seen (connector, event) select $1, event from given order by event
       on conflict do nothing returning event),
     fresh as (select g.* from given g join seen using (event)),
     echo as (
       select f.event, min(d.destination) as destination from fresh f
       join rescore.delivery d on d.key = f.key and d.destination = any($2)
         and f.value in (d.sent ->> f.field, d.pending ->> f.field)
       group by f.event),
     counted as (
       update rescore.delivery_destination n set echoes = n.echoes + e.count
       from (select destination, count(*) from echo group by 1) e where n.name = e.destination),
     woken as (
       insert into rescore.wake_up as w (connector, stream, key, mark)
       select $1, r.stream, r.key, nextval('rescore.mark') from (
         select distinct stream, key from fresh where event not in (select event from echo) order by 1, 2) r
       on conflict (connector, stream, key) do update set mark = excluded.mark
       returning key)
     select (select count(*) from fresh) as fresh, (select count(*) from echo) as echoes,
       (select count(*) from woken) as woken`,
    [
      connector,
      destinations,
      events.map(({ id }) => id),
      events.map(({ stream }) => stream),
      events.map(({ key }) => key),
      events.map(({ wrote }) => wrote?.field ?? null),
      events.map(({ wrote }) => wrote?.value.replaceAll('\0', '\uFFFD') ?? null),
    ],
  )
  const [row] = rows
  return { fresh: Number(row?.fresh ?? 0), echoes: Number(row?.echoes ?? 0), woken: Number(row?.woken ?? 0) }
}
