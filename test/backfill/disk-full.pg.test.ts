/** A disk that is full in the middle of a backfill: everything waits, says why, and goes on when there is space again. */
import { expect, test } from 'vitest'
import { doneCount, readBackfill } from '../../src/backfill/job.ts'
import { fillCompanies } from '../chaos/backfill-kills.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { canMount, createSmallDisk } from '../support/small-disk.ts'
import { ask, countsOf, ended } from './setting.ts'

const DISK_MB = 24
const LEFT_BYTES = 65_536

test.skipIf(!(await canMount()))(
  'a full disk stops a backfill and live changes no longer than it is full',
  { timeout: 240_000 },
  async () => {
    await using disk = await createSmallDisk(DISK_MB)
    await using database = await createTestDatabase('disk')
    await createProject(database.pool)
    await fillCompanies(database)
    await using checker = await createChecker()
    await using running = await startIn(database)
    await calm(database)
    const { rows } = await database.query<{ count: number }>(
      'with spoilt as (update rescore.features_company set visits = -1 returning 1) select count(*)::integer as count from spoilt',
    )
    const count = rows[0]?.count ?? 0
    // What is written anew each time, so that the space of old rows does not serve: the months of the history.
    const months = await database.query<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'rescore.feature_history'::regclass`,
    )
    expect(months.rows.length).toBeGreaterThan(1)
    for (const table of ['rescore.features_company', ...months.rows.map(({ name }) => name)]) {
      await database.query(`alter table ${table} set tablespace ${disk.tablespace}`)
    }
    await calm(database)
    await disk.fill(LEFT_BYTES)
    const backfill = await ask(database)
    await eventually(() => expect(running.failures.some((failure) => failure.startsWith('53100'))).toBe(true), {
      deadlineMs: 60_000,
    })
    // Found again by the pieces that repeat; nothing has ended.
    const waiting = await readBackfill(database.pool, backfill.id)
    expect(waiting.state).toBe('running')
    expect(doneCount(waiting)).toBeLessThan(count)
    await database.query(`update app.company set name = 'changed meanwhile', employees = 7 where id > 100100`)
    await disk.empty()
    const done = await ended(database, backfill)
    expect(countsOf(done)).toEqual({ changed: count, unchanged: 0, fresh: 0, failed: 0, gone: 0 })
    await calm(database)
    const { differences } = await checker.check(database)
    expect(differences.filter(({ kind }) => kind !== 'history')).toEqual([])
  },
)
