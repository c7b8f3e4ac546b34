/**
 * The time it is for features: a clock that has jumped back, and timers that do not fire.
 * Invariant: read-only; nothing is wrong on a database that Rescore has not made its tables in yet.
 */
import type { Pool } from '../db/pool.ts'
import { nowSql } from '../log/clock.ts'
import type { Problem } from './doctor.ts'

/** Clocks of servers that take turns differ by less. */
const BEHIND_SECONDS = 5
const OVERDUE_SECONDS = 60

export async function examineClock(pool: Pool): Promise<readonly Problem[]> {
  const { rows: tables } = await pool.query<{ is_there: boolean }>(
    `select to_regclass('rescore.timer') is not null as is_there`,
  )
  if (tables[0]?.is_there !== true) return []
  const { rows } = await pool.query<{ mark: string; behind: number; overdue: number; oldest: string }>(
    `select c.at::text as mark, extract(epoch from c.at - clock_timestamp())::float8 as behind,
       (select count(*) from rescore.timer where due_at <= ${nowSql()} - make_interval(secs => $1))::float8 as overdue,
       (select min(due_at) from rescore.timer)::text as oldest
     from rescore.clock c`,
    [OVERDUE_SECONDS],
  )
  const [row] = rows
  if (row === undefined) return []
  const problems: Problem[] = []
  if (row.behind > BEHIND_SECONDS) {
    problems.push({
      check: 'clock',
      message: `PostgreSQL's clock is ${Math.round(row.behind)} s behind what it has been: for features it is ${row.mark} until it has caught up.`,
      mend: `Set the clock of the server right. Only where it had been wrong before, with the service stopped: update rescore.clock set at = '-infinity'; then rescore backfill <entity> --all.`,
    })
  }
  if (row.overdue > 0) {
    problems.push({
      check: 'timers',
      message: `${row.overdue} timers are due for more than ${OVERDUE_SECONDS} s and have not fired, the oldest since ${row.oldest}.`,
      mend: 'Is the service running (rescore status)? A storm is worked off in time; slack on its inputs spreads the next one.',
    })
  }
  return problems
}
