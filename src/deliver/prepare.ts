/**
 * Brings the database in line with the deliveries declared.
 *
 * Invariants: from the moment a delivery is known no change of a classification is missed: the triggers are there before
 * anything is marked, in one transaction that no writer of classifications overlaps. A delivery that is new, changed or
 * back again makes every entity due, and the ledger says what of that is to be written. Idempotent.
 */
import { createHash } from 'node:crypto'
import { ADVISORY_LOCK } from '../db/locks.ts'
import { type Pool, type Queryable, withTransaction } from '../db/pool.ts'
import type { Delivery } from '../define/index.ts'
import { RescoreError } from '../errors.ts'
import type { Graph } from '../graph/graph.ts'
import { modelsOf } from './ledger.ts'

const TRIGGERS: Readonly<Record<string, string>> = {
  rescore_delivery_insert: 'after insert on rescore.classification referencing new table as added',
  rescore_delivery_update: 'after update on rescore.classification referencing old table as gone new table as added',
  rescore_delivery_delete: 'after delete on rescore.classification referencing old table as gone',
}

function hashOf({ kind, entity, fields }: Delivery): string {
  const declared = Object.keys(fields)
    .sort()
    .map((name) => [name, fields[name]?.model.name, fields[name]?.value, fields[name]?.digits])
  return createHash('sha256')
    .update(JSON.stringify([kind, entity.name, declared]))
    .digest('hex')
}

async function ensureTriggers(client: Queryable, areWanted: boolean): Promise<void> {
  const { rows } = await client.query<{ tgname: string }>(
    `select tgname from pg_trigger where tgrelid = 'rescore.classification'::regclass and tgname = any($1)`,
    [Object.keys(TRIGGERS)],
  )
  const there = new Set(rows.map(({ tgname }) => tgname))
  for (const [name, when] of Object.entries(TRIGGERS)) {
    if (areWanted && !there.has(name)) {
      await client.query(
        `create trigger ${name} ${when} for each statement execute function rescore.mark_delivery_due()`,
      )
    } else if (!areWanted && there.has(name)) await client.query(`drop trigger ${name} on rescore.classification`)
  }
  if (!areWanted) await client.query('truncate rescore.delivery_due')
}

async function makeAllDue(client: Queryable, delivery: Delivery): Promise<void> {
  const { name, entity } = delivery
  await client.query(
    `insert into rescore.delivery as d (destination, key, mark, due_at)
     select $1, k.key, nextval('rescore.mark'), clock_timestamp() from (
       select distinct key from rescore.classification where entity = $2 and model = any($3)
       union select key from rescore.delivery where destination = $1) k
     on conflict (destination, key) do update set mark = excluded.mark, due_at = excluded.due_at, attempts = 0`,
    [name, entity.name, modelsOf(delivery)],
  )
}

function circle(delivery: Delivery, column: string): RescoreError {
  const { name, entity } = delivery
  return new RescoreError({
    code: 'DELIVER_CIRCLE',
    fate: 'stop',
    message: `Delivery '${name}' writes '${column}', which a feature reads back from ${entity.table.id}.`,
    mend: 'Deliver under another name, read another column, or say that it is meant: feedsFeatures: true.',
    context: { delivery: name, column },
  })
}

function assertNoCircle(deliveries: readonly Delivery[], graph: Graph): void {
  for (const delivery of deliveries) {
    if (delivery.kind !== 'connector' || delivery.limits.feedsFeatures) continue
    const readers = graph.readers.get(delivery.entity.table.id) ?? []
    const column = Object.keys(delivery.fields).find((field) => readers.some(({ columns }) => columns.has(field)))
    if (column !== undefined) throw circle(delivery, column)
  }
}

/** @throws RescoreError DELIVER_CIRCLE, DELIVER_DUPLICATE */
export async function prepareDeliveries(pool: Pool, graph: Graph, deliveries: readonly Delivery[]): Promise<void> {
  assertNoCircle(deliveries, graph)
  const names = deliveries.map(({ name }) => name)
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    throw new RescoreError({
      code: 'DELIVER_DUPLICATE',
      fate: 'stop',
      message: `Two deliveries are named '${twice}'.`,
      mend: 'Name each delivery of rescore.config.ts once.',
    })
  }
  await withTransaction(pool, {}, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.prepareDeliveries])
    await ensureTriggers(client, deliveries.length > 0)
    // The ledger stays: when it comes back, only what differs is written.
    await client.query('delete from rescore.delivery_destination where name <> all($1)', [names])
    for (const delivery of deliveries) {
      const { rowCount } = await client.query(
        `insert into rescore.delivery_destination as d (name, entity, hash) values ($1, $2, $3)
         on conflict (name) do update set entity = excluded.entity, hash = excluded.hash where d.hash <> excluded.hash`,
        [delivery.name, delivery.entity.name, hashOf(delivery)],
      )
      if (rowCount !== 0) await makeAllDue(client, delivery)
    }
  })
}
