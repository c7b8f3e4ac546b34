import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { startProxy } from '../../test/support/proxy.ts'
import { aborted } from './backoff.ts'
import { type HeldRole, runAsLeader } from './leader.ts'
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

const BEAT = { everyMs: 200, withinMs: 1_000, idleMs: 3_000 }

test('who is cut off without a word loses the role by itself, and its work has ended before another begins', async () => {
  await using database = await createTestDatabase('leader')
  await using proxy = await startProxy(Number(new URL(database.url).port))
  const cutOff = new URL(database.url)
  cutOff.port = String(proxy.port)
  const stop = new AbortController()
  const events: string[] = []
  const lead = (name: string, url: string) =>
    runAsLeader(
      url,
      'capture',
      stop.signal,
      async (signal, { lost }) => {
        events.push(`${name} begins`)
        await aborted(signal)
        events.push(`${name} ${lost.aborted ? 'lost' : 'stopped'}`)
      },
      { askEveryMs: 20, beat: BEAT },
    )
  const first = lead('first', cutOff.href)
  await eventually(() => expect(events).toEqual(['first begins']))
  const second = lead('second', database.url)
  proxy.set('swallow')
  await eventually(() => expect(events).toEqual(['first begins', 'first lost', 'second begins']))
  stop.abort()
  proxy.set('refuse')
  await Promise.all([first, second])
  expect(events.at(-1)).toBe('second stopped')
})

/** As a computation, or a SIGSTOP, does to the whole process. */
function standStill(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a process that is busy for a while keeps its role; one that stood still for longer finds it lost', async () => {
  await using database = await createTestDatabase('leader')
  const stop = new AbortController()
  const ends: boolean[] = []
  let begun = 0
  const sure: boolean[] = []
  let role: HeldRole | undefined
  const work = async (signal: AbortSignal, held: HeldRole) => {
    begun += 1
    role = held
    await aborted(signal)
    ends.push(held.lost.aborted)
  }
  const leading = runAsLeader(database.url, 'x', stop.signal, work, { askEveryMs: 20, beat: BEAT })
  await eventually(() => expect(begun).toBe(1))
  standStill(BEAT.idleMs / 2)
  const sessions = `select count(*)::integer as count from pg_locks l join pg_stat_activity a using (pid)
    where a.datname = current_database() and l.locktype = 'advisory' and l.granted`
  expect((await database.query<{ count: number }>(sessions)).rows).toEqual([{ count: 1 }])
  expect(ends).toEqual([])
  sure.push(role?.isSure() === true)
  standStill(BEAT.idleMs + 500)
  // At once, before anything that has happened meanwhile is heard of.
  sure.push(role?.isSure() === true)
  expect(sure).toEqual([true, false])
  await eventually(() => expect(begun).toBe(2))
  expect(ends).toEqual([true])
  stop.abort()
  await leading
  expect(ends).toEqual([true, false])
})
