/**
 * Two services of one database: started twice by mistake, and a zombie that wakes up after another has taken over.
 * What ends the zombie is the lease it finds taken or the position it finds moved, whichever it notices first.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { startLoad } from './load.ts'
import { calm, createChecker, type Place, slotOf } from './running.ts'
import { type ServiceChild, startChild } from './service-child.ts'

/** As the network does to a machine that stands still: its lease and its stream end, what it had open stays. */
async function cutOff(place: Place, service: ServiceChild): Promise<void> {
  const { rows } = await place.pool.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where application_name like format('rescore service, process %s on %%', $1::text)
        or pid = (select active_pid from pg_replication_slots where slot_name = $2)`,
    [service.pid, slotOf(place)],
  )
  expect(rows.length).toBeGreaterThanOrEqual(1)
}

async function holdsLease({ pool }: Place, service: ServiceChild): Promise<boolean> {
  const { rows } = await pool.query(
    `select from pg_stat_activity a join pg_locks l using (pid)
     where a.application_name like format('rescore service, process %s on %%', $1::text)
       and l.locktype = 'advisory' and l.granted`,
    [service.pid],
  )
  return rows.length > 0
}

async function openTransactions({ pool, name }: Place): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*)::integer as count from pg_stat_activity
     where datname = $1 and application_name = 'rescore' and xact_start is not null`,
    [name],
  )
  return rows[0]?.count ?? 0
}

const MOMENTS_MS = [120, 333, 777]

test('a service that stood still while another took over ends, and overwrites nothing', {
  timeout: 240_000,
}, async () => {
  await using database = await createTestDatabase('zombie')
  await createProject(database.pool)
  await using checker = await createChecker()
  for (const [index, afterMs] of MOMENTS_MS.entries()) {
    await using zombie = startChild(database)
    await zombie.running()
    const load = startLoad(database, index)
    await sleep(afterMs)
    zombie.signal('SIGSTOP')
    await cutOff(database, zombie)
    await using successor = startChild(database)
    // It may have to wait for what the zombie has locked, so that it runs is known only later.
    await eventually(async () => expect(await holdsLease(database, successor)).toBe(true))
    await sleep(afterMs)
    zombie.signal('SIGCONT')
    const { error } = await zombie.ended
    expect(['DB_LEASE_HELD', 'LOG_FENCED']).toContain(error?.code)
    await load.stop()
    // By the successor, which the zombie did not fence.
    await successor.running()
    expect((await checker.check(database)).differences, `stopped after ${afterMs} ms`).toEqual([])
  }
})

test.for(['recompute', 'score'])(
  'a zombie that wakes up in the middle of a %s batch changes nothing',
  async (stage) => {
    await using database = await createTestDatabase('woken')
    await createProject(database.pool)
    await using checker = await createChecker()
    await using zombie = startChild(database)
    await zombie.running()
    await calm(database)
    const held = zombie.holdAt(`${stage}:before-apply`)
    await database.query(`update app.deal set stage = 'won', amount = 1 where id = 2`)
    await held
    // Only the held transaction is open: another would keep its locks while the process stands still.
    await eventually(async () => expect(await openTransactions(database)).toBe(1))
    zombie.signal('SIGSTOP')
    await cutOff(database, zombie)
    await using successor = startChild(database)
    await successor.running()
    await database.query(`update app.deal set amount = 2 where id = 2`)
    expect((await checker.check(database)).differences).toEqual([])
    zombie.letGo(`${stage}:before-apply`)
    zombie.signal('SIGCONT')
    const { error } = await zombie.ended
    expect(['DB_LEASE_HELD', 'LOG_FENCED']).toContain(error?.code)
    expect((await checker.check(database)).differences).toEqual([])
  },
)

test('a service that stands still frees what it holds by itself, and is succeeded', async () => {
  await using database = await createTestDatabase('frozen')
  await createProject(database.pool)
  await using checker = await createChecker()
  await using zombie = startChild(database)
  await zombie.running()
  await calm(database)
  // In a transaction it would hold its locks for a minute.
  await eventually(async () => expect(await openTransactions(database)).toBe(0))
  zombie.signal('SIGSTOP')
  await eventually(async () => expect(await holdsLease(database, zombie)).toBe(false), { deadlineMs: 60_000 })
  const load = startLoad(database, 7)
  await using successor = startChild(database)
  await successor.running()
  await load.stop()
  expect((await checker.check(database)).differences).toEqual([])
  zombie.signal('SIGCONT')
  const { error } = await zombie.ended
  expect(['DB_LEASE_HELD', 'LOG_FENCED']).toContain(error?.code)
  expect((await checker.check(database)).differences).toEqual([])
})

test('of two services started by mistake the second is refused, told who the first is', async () => {
  await using database = await createTestDatabase('twice')
  await createProject(database.pool)
  await using first = startChild(database)
  await first.running()
  await using second = startChild(database)
  const { error } = await second.ended
  expect(error?.code).toBe('DB_LEASE_HELD')
  expect(error?.message).toContain(`process ${first.pid} on `)
  await using checker = await createChecker()
  expect((await checker.check(database)).differences).toEqual([])
})
