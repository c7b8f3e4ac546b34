import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { startBroker } from '../../test/support/kafka/broker.ts'
import { describeKafka, describeWithJava } from '../../test/support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { historyByKey, type Publishing, setUpPublishing } from '../../test/support/publishing.ts'
import type { PublishingOrder } from '../../test/support/publishing-main.ts'
import { parseLsn } from '../db/lsn.ts'

const TABLE = 'public.item'
const ROWS = 200

async function createItems(label: string): Promise<TestDatabase> {
  const db = await createTestDatabase(label)
  await db.query('create table public.item (id integer primary key, version integer not null, name text)')
  await db.query(`insert into public.item select i, 0, 'n' || i from generate_series(1, ${ROWS}) i`)
  return db
}

/** Every row's version raised by one, some transactions small and some large. */
async function raise(db: TestDatabase, versions: readonly number[]): Promise<void> {
  for (const version of versions) {
    const parts = version % 3 === 0 ? 10 : 1
    for (let part = 0; part < parts; part += 1) {
      await db.query('update public.item set version = $1 where id % $2 = $3', [version, parts, part])
    }
  }
}

/** Each key has each version once, duplicates apart, in order; and a repeat never brings a version not seen before. */
function expectHistories({ records }: Publishing, versions: readonly number[]): void {
  const histories = historyByKey(records)
  const found = [...histories.values()].map((history) => history.map(({ value }) => value?.after?.version))
  expect(found.length).toBe(ROWS)
  for (const history of found) expect(history).toEqual(versions)
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

async function slotOf(db: TestDatabase): Promise<{ readonly confirmed: bigint; readonly unread: number }> {
  const { rows } = await db.query<{ confirmed: string; unread: string | null }>(
    `select confirmed_flush_lsn::text as confirmed,
            pg_wal_lsn_diff(pg_current_wal_lsn(), (select sent_lsn from pg_stat_replication r where r.pid = active_pid))::text as unread
     from pg_replication_slots where slot_name = $1`,
    [db.name],
  )
  return { confirmed: parseLsn(rows[0]?.confirmed ?? '0/0'), unread: Number(rows[0]?.unread ?? 0) }
}

function startProcess(order: PublishingOrder, faults: string): ChildProcess {
  const main = fileURLToPath(new URL('../../test/support/publishing-main.ts', import.meta.url))
  return spawn(process.execPath, [main, JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, RESCORE_TEST_FAULTS: faults, NODE_OPTIONS: '--no-warnings' },
  })
}

describeKafka('capture into Kafka, killed with -9', ({ brokers }) => {
  test.each(['before-send@2', 'after-ack@2', 'before-confirm@2', 'after-confirm@2'])(
    '%s: what was not confirmed comes again, in order, and nothing is missing',
    async (point) => {
      await using db = await createItems('killed')
      await using publishing = await setUpPublishing(db, brokers, [TABLE])
      const { prefix } = publishing.settings
      const order = { url: db.url, slot: db.name, brokers, prefix, tables: [TABLE] }
      const first = startProcess(order, `kill:${point}`)
      const exited = once(first, 'exit')
      await eventually(async () => expect((await slotOf(db)).unread).toBeGreaterThanOrEqual(0))
      let version = 0
      while (first.exitCode === null && first.signalCode === null) {
        version += 1
        await raise(db, [version])
      }
      expect(await exited).toEqual([null, 'SIGKILL'])
      await raise(db, [version + 1, version + 2])
      await using _ = publishing.start()
      await eventually(() => expectHistories(publishing, range(1, version + 2)))
    },
  )
})

describeWithJava('capture into Kafka, the broker', () => {
  test('killed and restarted under load: nothing is lost, order holds, the slot waits, memory is bounded', async () => {
    await using broker = await startBroker()
    await using db = await createItems('broker')
    await using publishing = await setUpPublishing(db, broker.brokers, [TABLE])
    await using running = publishing.start({ highWaterBytes: 500_000, attemptMs: 1_000 })
    await raise(db, range(1, 5))
    await eventually(() => expectHistories(publishing, range(1, 5)))
    await eventually(async () => expect((await slotOf(db)).unread).toBeLessThan(4_096))
    await broker.kill()
    const { confirmed: atKill } = await slotOf(db)
    const { rows } = await db.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
    const killedAt = parseLsn(rows[0]?.lsn ?? '0/0')
    await raise(db, range(6, 30))
    const big = '(select string_agg(md5(id::text || i::text || version::text), $$$$) from generate_series(1, 1500) i)'
    for (const version of [31, 32]) await db.query(`update public.item set version = ${version}, name = ${big}`)
    await raise(db, [33])
    await eventually(() => expect(running.errors.length).toBeGreaterThan(2))
    // Far more than the bound is waiting, and it waits in PostgreSQL.
    await eventually(async () => expect((await slotOf(db)).unread).toBeGreaterThan(4_000_000))
    const { confirmed } = await slotOf(db)
    expect(confirmed).toBeGreaterThanOrEqual(atKill)
    expect(confirmed).toBeLessThanOrEqual(killedAt)
    await broker.start()
    await eventually(() => expectHistories(publishing, range(1, 33)), { deadlineMs: 60_000 })
    await eventually(async () => expect((await slotOf(db)).confirmed).toBeGreaterThan(killedAt))
  })

  test('frozen for longer than an attempt may take: the connection is given up, and what it has heard twice it keeps once', async () => {
    await using broker = await startBroker()
    await using db = await createItems('frozen')
    await using publishing = await setUpPublishing(db, broker.brokers, [TABLE])
    await using running = publishing.start({ attemptMs: 1_000 })
    await raise(db, [1])
    await eventually(() => expectHistories(publishing, [1]))
    broker.signal('SIGSTOP')
    await raise(db, [2, 3])
    await eventually(() => expect(running.errors.length).toBeGreaterThan(1))
    broker.signal('SIGCONT')
    await eventually(() => expectHistories(publishing, [1, 2, 3]), { deadlineMs: 60_000 })
    await raise(db, [4])
    await eventually(() => expectHistories(publishing, [1, 2, 3, 4]))
    expect(publishing.records.length).toBe(4 * ROWS)
  })

  test('frozen at a clean stop: the end waits for it as long as it may, and the slot stays where it is', async () => {
    await using broker = await startBroker()
    await using db = await createItems('stopped')
    await using publishing = await setUpPublishing(db, broker.brokers, [TABLE])
    const first = publishing.start({ drainMs: 300 })
    await raise(db, [1])
    await eventually(() => expectHistories(publishing, [1]))
    await eventually(async () => expect((await slotOf(db)).unread).toBeLessThan(4_096))
    broker.signal('SIGSTOP')
    await raise(db, [2])
    const { rows } = await db.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
    await eventually(async () => expect((await slotOf(db)).unread).toBeLessThan(4_096))
    await first.stop()
    expect((await slotOf(db)).confirmed).toBeLessThan(parseLsn(rows[0]?.lsn ?? '0/0'))
    broker.signal('SIGCONT')
    await using _ = publishing.start()
    await eventually(() => expectHistories(publishing, [1, 2]), { deadlineMs: 60_000 })
  })
})
