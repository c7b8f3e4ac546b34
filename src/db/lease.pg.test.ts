import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { acquireLease } from './lease.ts'
import { ADVISORY_LOCK } from './locks.ts'

test('a second service is refused with the name of the first, and admitted when that one has ended', async () => {
  await using database = await createTestDatabase('lease')
  const first = new AbortController()
  const keeping = (await acquireLease(database.url, first.signal)).keep(first.signal)
  const { signal } = new AbortController()
  await expect(acquireLease(database.url, signal, { patienceMs: 50 })).rejects.toMatchObject({
    code: 'DB_LEASE_HELD',
    message: expect.stringMatching(new RegExp(`process ${process.pid} on .*backend \\d+`)),
  })
  const waiting = acquireLease(database.url, signal)
  first.abort()
  await keeping
  const second = new AbortController()
  const held = (await waiting).keep(second.signal)
  second.abort()
  await held
})

test('a lease whose connection was cut is taken again, or given up to whoever was quicker', async () => {
  await using database = await createTestDatabase('lease_lost')
  const stop = new AbortController()
  const keeping = (await acquireLease(database.url, stop.signal)).keep(stop.signal)
  const cut = () =>
    database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and application_name like 'rescore service%'`,
      [database.name],
    )
  const holders = async () => {
    const { rows } = await database.query<{ pid: number }>(
      `select l.pid from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.granted and a.datname = $1`,
      [database.name],
    )
    return rows.map(({ pid }) => pid)
  }
  const waiters = async () => {
    const { rows } = await database.query(
      `select from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and not l.granted and a.datname = $1`,
      [database.name],
    )
    return rows.length
  }
  const before = await holders()
  await cut()
  await eventually(async () => {
    const now = await holders()
    expect(now).toHaveLength(1)
    expect(now).not.toEqual(before)
  })
  const client = await database.pool.connect()
  try {
    // Queued before the cut, so that PostgreSQL itself hands the lock over.
    const taken = client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK.service])
    await eventually(async () => expect(await waiters()).toBe(1))
    await cut()
    await taken
    await expect(keeping).rejects.toMatchObject({ code: 'DB_LEASE_HELD' })
  } finally {
    client.release(true)
  }
})
