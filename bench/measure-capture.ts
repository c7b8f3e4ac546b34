/**
 * How fast capture reads a slot that was filled before, beside `pg_recvlogical` on the same write-ahead log.
 *
 * Two slots are made at one point, so both readers get the same transactions; each drain starts cold. pg_recvlogical is
 * PostgreSQL's own client and hands on the raw stream: the ceiling of one slot.
 */
import { ensureCapture } from '../src/capture/slot.ts'
import { migrate } from '../src/db/migrate.ts'
import { askChild } from './ask-child.ts'
import type { DrainOrder, DrainResult } from './children/messages.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { drainByRecvlogical } from './recvlogical.ts'
import { perSecond, round } from './statistics.ts'

const ROWS = 500_000
const PUBLICATION = 'rescore'
const TABLE_ROWS = 100_000

/** Rows of about 350 bytes in the log, as in the note the figures are compared with. */
const CREATE = `
create table public.captured (id bigint primary key, parent_id bigint, name text, email text, amount numeric(14,2),
  stage text, note text, counter integer, changed_at timestamptz);
alter table public.captured replica identity full;
insert into public.captured select g, g % 1000, 'Name ' || g, 'p' || g || '@c' || g % 977 || '.example', g * 1.25, 'open',
  repeat('note ', 12), 0, timestamptz '2025-07-15' from generate_series(1, ${TABLE_ROWS}) g;`

/** The table that is drained here and into Kafka. */
export async function createCaptured({ pool }: BenchDatabase): Promise<void> {
  await pool.query(CREATE)
}

/** Commits inside the loop: `perTransaction` rows each. */
const FILL = (rows: number, perTransaction: number) => `
do $$ begin
  for i in 0 .. ${Math.ceil(rows / perTransaction) - 1} loop
    update public.captured set counter = counter + 1, changed_at = clock_timestamp()
    where id between 1 + (i * ${perTransaction}) % ${TABLE_ROWS} and ${perTransaction} + (i * ${perTransaction}) % ${TABLE_ROWS};
    commit;
  end loop;
end $$`

export const capture: Measurement = {
  name: 'capture',
  run: async (context) => {
    const figures: Record<string, Figures> = {}
    for (const perTransaction of [1_000, 10]) {
      figures[`transactionsOf${perTransaction}`] = await drainBoth(context, perTransaction)
    }
    return figures
  },
}

async function drainBoth(context: BenchContext, perTransaction: number): Promise<Figures> {
  const { say, signal } = context
  const rows = context.scaled(ROWS, 1_000)
  await using database = await context.createEmpty(`capture_${perTransaction}`)
  const slot = `bench_capture_${perTransaction}`
  await migrate(database.pool)
  await createCaptured(database)
  await ensureCapture(database.pool, { slot, publication: PUBLICATION, tables: ['public.captured'], owned: [] })
  const recvSlot = `${slot}_recv`
  await database.pool.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [recvSlot])
  say(`capture: ${rows} row updates in transactions of ${perTransaction}`)
  const endLsn = await fill(database, rows, perTransaction)
  const order = { url: database.url, slot, publication: PUBLICATION, rows }
  const ours = await askChild<DrainOrder, DrainResult>('drain.ts', order, { signal })
  const rowsPerSecond = perSecond(ours.rows, ours.startToLastMs)
  const theirs = await drainByRecvlogical(context, database, {
    slot: recvSlot,
    publication: PUBLICATION,
    rows,
    endLsn,
  })
  return {
    rows: ours.rows,
    transactions: ours.transactions,
    rescore: {
      rowsPerSecond,
      seconds: round(ours.startToLastMs / 1000, 2),
      rowsPerSecondFromFirstRow: perSecond(ours.rows, ours.firstToLastMs),
      cpuSeconds: round(ours.cpuSeconds, 2),
      cpuMicrosecondsPerRow: round((ours.cpuSeconds * 1e6) / ours.rows, 2),
      peakRssMb: ours.peakRssMb,
    },
    pgRecvlogical: theirs,
    ratio: 'skipped' in theirs ? null : round(rowsPerSecond / theirs.rowsPerSecond, 2),
  }
}

/** Returns the LSN behind the last row; one more transaction follows it, at which pg_recvlogical sees that it is done. */
export async function fill({ pool }: BenchDatabase, rows: number, perTransaction: number): Promise<string> {
  const client = await pool.connect()
  try {
    await client.query('set synchronous_commit = off')
    await client.query(FILL(rows, perTransaction))
  } finally {
    client.release(true)
  }
  const { rows: found } = await pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  await pool.query('update public.captured set counter = 0 where id = 1')
  await pool.query('checkpoint')
  return found[0]?.lsn ?? '0/0'
}
