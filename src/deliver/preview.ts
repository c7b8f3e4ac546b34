/**
 * What each delivery would write if it looked at everything now, and how it stands: for people. Reads only, so it does
 * no harm beside a running service, and works before a delivery has ever run.
 */
import type { Pool } from '../db/pool.ts'
import type { Delivery } from '../define/index.ts'
import type { Classes, Values } from './difference.ts'
import { type Due, modelsOf } from './ledger.ts'
import { readMirror } from './mirror.ts'
import { planWrites } from './plan.ts'

export interface Preview {
  readonly delivery: string
  /** Records that would be written. */
  readonly writes: number
  /** Of them, those that are not there any more and would be removed. */
  readonly removals: number
  readonly examples: readonly { readonly key: string; readonly from: Values | null; readonly to: Values }[]
}

const PAGE = 1_000

/** Everything that is or was classified, in key order. */
async function pageAfter(pool: Pool, delivery: Delivery, after: string): Promise<readonly Due[]> {
  const { rows } = await pool.query<{
    key: string
    sent: Values | null
    unsure: string[] | null
    sent_at_ms: number | null
    classes: Classes | null
  }>(
    `select k.key, d.sent, d.unsure, extract(epoch from d.sent_at)::float8 * 1000 as sent_at_ms,
       (select jsonb_object_agg(c.model, jsonb_build_array(c.label, c.probability))
        from rescore.classification c where c.key = k.key and c.model = any($3)) as classes
     from (select key from rescore.classification where entity = $2 and model = any($3) and key > $4
           union select key from rescore.delivery where destination = $1 and key > $4
           order by key limit $5) k
     left join rescore.delivery d on d.destination = $1 and d.key = k.key order by k.key`,
    [delivery.name, delivery.entity.name, modelsOf(delivery), after, PAGE],
  )
  return rows.map(({ key, sent, unsure, sent_at_ms, classes }) => ({
    key,
    mark: 0n,
    sent,
    sentAtMs: sent_at_ms,
    pending: null,
    nextNumber: 0n,
    unsure: unsure ?? [],
    attempts: 0,
    hourWrites: 0,
    classes: classes ?? {},
  }))
}

export async function previewDelivery(pool: Pool, delivery: Delivery, mostExamples: number): Promise<Preview> {
  const examples: Preview['examples'][number][] = []
  let [writes, removals] = [0, 0]
  for (let page = await pageAfter(pool, delivery, ''); page.length > 0; ) {
    const mirror = await readMirror(
      pool,
      delivery,
      page.map(({ key }) => key),
    )
    const plan = planWrites(delivery, page, mirror, { hearsOfGone: delivery.kind !== 'connector' })
    for (const { key, record } of plan.writes) {
      writes += 1
      if (record.isGone) removals += 1
      if (examples.length < mostExamples) examples.push({ key, from: record.previous, to: record.changed })
    }
    page = await pageAfter(pool, delivery, page.at(-1)?.key ?? '')
  }
  return { delivery: delivery.name, writes, removals, examples }
}

export interface Standing {
  readonly delivery: string
  readonly written: number
  readonly today: number
  /** Now, or later. */
  readonly due: number
  /** Due later, because they were refused. */
  readonly aside: number
  readonly held: number
  readonly echoes: number
  readonly pausedUntil: string | null
  readonly error: string | null
}

/** Of every delivery that has run. */
export async function deliveryStandings(pool: Pool): Promise<readonly Standing[]> {
  const { rows } = await pool.query<Standing>(
    `select n.name as delivery, n.written::float8, n.held::float8, n.echoes::float8,
       coalesce((select writes from rescore.delivery_day y where y.destination = n.name
                 and y.day = (now() at time zone 'UTC')::date), 0)::float8 as today,
       (select count(*) from rescore.delivery d where d.destination = n.name and d.due_at is not null)::float8 as due,
       (select count(*) from rescore.delivery d where d.destination = n.name and d.attempts > 0)::float8 as aside,
       case when n.paused_until > now() then n.paused_until::text end as "pausedUntil",
       case when n.error is not null then n.error_code || ': ' || n.error end as error
     from rescore.delivery_destination n order by 1`,
  )
  return rows
}

/** Records set aside are tried again now. @returns how many */
export async function retryAside(pool: Pool, names: readonly string[]): Promise<number> {
  const { rowCount } = await pool.query(
    `update rescore.delivery set attempts = 0, hour_writes = 0, due_at = clock_timestamp()
     where destination = any($1) and attempts > 0`,
    [names],
  )
  return rowCount ?? 0
}
