/**
 * The floor of latency on this machine: commit a change with NOTIFY, read it on another connection, upsert a result,
 * commit; one at a time, no service involved.
 */
import { createClient, type Pool } from '../src/db/pool.ts'
import { type Summary, summarise } from './statistics.ts'

const ROUNDS = 500
const WARM_UP = 50

/** Milliseconds from sending the change to the result's commit. */
export async function latencyFloor(pool: Pool, url: string): Promise<Summary> {
  await pool.query(`
    create table bench_floor (id bigint primary key, value integer not null);
    create table bench_floor_result (id bigint primary key, value integer not null);
    insert into bench_floor select g, 0 from generate_series(1, 1000) g;`)
  const reader = createClient({ url, applicationName: 'rescore bench floor' })
  await reader.connect()
  try {
    await reader.query('listen bench_floor')
    const samples: number[] = []
    for (let round = 0; round < ROUNDS + WARM_UP; round += 1) {
      const id = 1 + (round % 1000)
      const told = new Promise<void>((resolve) => reader.once('notification', () => resolve()))
      const startedMs = performance.now()
      const committed = pool.query({
        name: 'bench-floor-change',
        text: `with changed as (update bench_floor set value = value + 1 where id = $1 returning id)
               select pg_notify('bench_floor', id::text) from changed`,
        values: [id],
      })
      await told
      const { rows } = await reader.query('select value from bench_floor where id = $1', [id])
      await reader.query(
        'insert into bench_floor_result values ($1, $2) on conflict (id) do update set value = excluded.value',
        [id, rows[0]?.value],
      )
      if (round >= WARM_UP) samples.push(performance.now() - startedMs)
      await committed
    }
    return summarise(samples)
  } finally {
    await reader.end()
  }
}
