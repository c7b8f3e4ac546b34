import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { runAsLeader } from './leader.ts'
import { acquireLease } from './lease.ts'

test('one leads at a time; a stand-by takes over when the session is cut, after the work of the first was aborted', async () => {
  await using database = await createTestDatabase('leader')
  const stop = new AbortController()
  const events: string[] = []
  const roles: Record<string, string[]> = { a: [], b: [] }
  let working = 0
  const lead = (name: string) =>
    runAsLeader(
      database.url,
      'capture',
      stop.signal,
      async (signal) => {
        working += 1
        events.push(name)
        expect(working).toBe(1)
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
        working -= 1
      },
      { askEveryMs: 20, onRole: (role) => roles[name]?.push(role) },
    )
  const running = [lead('a'), lead('b')]
  await eventually(() => expect(events).toHaveLength(1))
  await database.query(
    `select pg_terminate_backend(l.pid) from pg_locks l join pg_stat_activity a using (pid)
     where a.datname = current_database() and l.locktype = 'advisory' and l.granted`,
  )
  await eventually(() => expect(events).toHaveLength(2))
  stop.abort()
  await Promise.all(running)
  expect(working).toBe(0)
  const [first = '', second = ''] = events
  expect(roles[first]?.slice(0, 2)).toEqual(['leader', 'none'])
  if (first !== second) expect([roles[second]?.[0], roles[second]?.at(-2)]).toEqual(['stand-by', 'leader'])
  for (const told of Object.values(roles)) expect(told.at(-1)).not.toBe('leader')
})

test('what the work throws ends the role; work that ends by itself is not begun again', async () => {
  await using database = await createTestDatabase('leader')
  const { signal } = new AbortController()
  const failure = new Error('planted')
  await expect(runAsLeader(database.url, 'x', signal, () => Promise.reject(failure))).rejects.toBe(failure)
  let runs = 0
  await runAsLeader(database.url, 'x', signal, () => {
    runs += 1
    return Promise.resolve()
  })
  expect(runs).toBe(1)
})

test('services that share the work admit each other, and none that would do it alone', async () => {
  await using database = await createTestDatabase('lease')
  const stop = new AbortController()
  const { signal } = stop
  const first = (await acquireLease(database.url, signal, { mode: 'shared' })).keep(signal)
  const second = (await acquireLease(database.url, signal, { mode: 'shared' })).keep(signal)
  await expect(acquireLease(database.url, signal, { patienceMs: 50 })).rejects.toMatchObject({ code: 'DB_LEASE_HELD' })
  stop.abort()
  await Promise.all([first, second])
})
