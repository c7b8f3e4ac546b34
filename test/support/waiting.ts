/**
 * Who waits for the reflected position before there is anybody to wait for: on a database that Rescore has never seen, and
 * between a stop and a start. What must come true is the same over every log.
 */
import { expect } from 'vitest'
import { waitUntilReflected } from '../../src/observe/wait.ts'
import { PATIENCE_MS } from '../chaos/running.ts'
import { eventually } from './eventually.ts'
import { createTestDatabase, type TestDatabase } from './pg.ts'
import { createProject } from './project-sql.ts'

const { signal } = new AbortController()

/** Begun: it has looked, found nobody, and listens. */
async function beginWait({ url, pool }: TestDatabase): Promise<{ readonly done: Promise<unknown> }> {
  const done = waitUntilReflected({ url, timeoutMs: PATIENCE_MS, signal })
  await eventually(async () => {
    const { rows } = await pool.query<{ state: string }>(
      `select state from pg_stat_activity
       where application_name = 'rescore wait' and datname = current_database() and query like '%stage_position%'`,
    )
    expect(rows.map(({ state }) => state)).toEqual(['idle'])
  })
  return { done }
}

async function rowsOf({ pool }: TestDatabase): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    'select count(*)::integer as count from rescore.features_company',
  )
  return rows[0]?.count ?? 0
}

async function companiesOf({ pool }: TestDatabase): Promise<number> {
  const { rows } = await pool.query<{ count: number }>('select count(*)::integer as count from app.company')
  return rows[0]?.count ?? 0
}

/** @param start the whole service, by whatever log; disposing stops it */
export async function waitsForWhoeverComes(start: (database: TestDatabase) => Promise<AsyncDisposable>): Promise<void> {
  await using database = await createTestDatabase('waiting')
  await createProject(database.pool)
  await database.query('drop schema rescore cascade')
  const first = await beginWait(database)
  {
    await using _service = await start(database)
    await first.done
    expect(await rowsOf(database)).toBe(await companiesOf(database))
  }
  await database.query('insert into app.company (id) values (9001), (9002)')
  const second = await beginWait(database)
  expect(await rowsOf(database)).toBe((await companiesOf(database)) - 2)
  await using _again = await start(database)
  await second.done
  expect(await rowsOf(database)).toBe(await companiesOf(database))
}
