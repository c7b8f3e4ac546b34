import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { describeKafka } from '../../test/support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { historyByKey, QUIET, setUpPublishing } from '../../test/support/publishing.ts'
import { parseLsn } from '../db/lsn.ts'
import { withAdmin } from '../log/kafka/admin.ts'
import { POSITION_HEADER, SYSTEM_HEADER, XID_HEADER } from '../log/kafka/envelope.ts'

const TABLE = 'public.item'

async function createItems(label: string): Promise<TestDatabase> {
  const db = await createTestDatabase(label)
  await db.query('create table public.item (id integer primary key, version integer not null, name text)')
  return db
}

async function confirmedOf(db: TestDatabase): Promise<bigint> {
  const { rows } = await db.query<{ lsn: string }>(
    'select confirmed_flush_lsn::text as lsn from pg_replication_slots where slot_name = $1',
    [db.name],
  )
  return parseLsn(rows[0]?.lsn ?? '0/0')
}

async function walOf(db: TestDatabase): Promise<bigint> {
  const { rows } = await db.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
  return parseLsn(rows[0]?.lsn ?? '0/0')
}

describeKafka('capture into Kafka', ({ brokers }) => {
  test('every change arrives under its key, in order, with envelope and headers; deletes with a tombstone', async () => {
    await using db = await createItems('publish')
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    await using _ = publishing.start()
    const expected = new Map<string, unknown[]>()
    const expectOf = (id: number, ...more: unknown[]) => {
      const key = `{"id":${id}}`
      expected.set(key, [...(expected.get(key) ?? []), ...more])
    }
    await db.query(`insert into public.item select i, 0, 'n' || i from generate_series(1, 40) i`)
    for (let id = 1; id <= 40; id += 1) expectOf(id, ['c', null, 0])
    for (let version = 1; version <= 5; version += 1) {
      await db.query('update public.item set version = $1 where id % $1 = 0', [version])
      for (let id = version; id <= 40; id += version) {
        const before = [1, 2, 3, 4, 5].filter((each) => each < version && id % each === 0).at(-1) ?? 0
        expectOf(id, ['u', before, version])
      }
    }
    await db.query('delete from public.item where id = 7')
    expectOf(7, ['d', 1, null], 'tombstone')
    await db.query('update public.item set id = 107 where id = 11')
    expectOf(11, ['d', 1, null], 'tombstone')
    expectOf(107, ['c', null, 1])
    await eventually(() => {
      const found = [...historyByKey(publishing.records)].map(([key, history]) => [
        key,
        history.map(({ value }) =>
          value === null ? 'tombstone' : [value.op, value.before?.version ?? null, value.after?.version ?? null],
        ),
      ])
      expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected))
    })
    const { rows } = await db.query<{ system: string }>(
      'select system_identifier::text as system from pg_control_system()',
    )
    for (const { headers, key, value } of publishing.records) {
      expect(headers[POSITION_HEADER]).toMatch(/^[0-9a-f]{16}\/\d+$/)
      expect(headers[SYSTEM_HEADER]).toBe(rows[0]?.system)
      if (value === null) continue
      expect(headers[XID_HEADER]).toBe(String(value.source.txId))
      expect(value.source).toMatchObject({ name: publishing.settings.prefix, schema: 'public', table: 'item' })
      const { id } = value.after ?? value.before ?? {}
      expect(key).toBe(`{"id":${id}}`)
    }
    const rekeyed = publishing.records.flatMap(({ headers }) => headers['__debezium.newkey'] ?? [])
    const created = publishing.records.flatMap(({ headers }) => headers['__debezium.oldkey'] ?? [])
    expect([rekeyed, created]).toEqual([['{"id":107}', '{"id":107}'], ['{"id":11}']])
  })

  test('the slot follows, and a table without a key and a truncate keep their order in one partition', async () => {
    await using db = await createTestDatabase('keyless')
    await db.query('create table public.item (note text)')
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    await using _ = publishing.start()
    await db.query(`insert into public.item select 'n' || i from generate_series(1, 30) i`)
    await db.query('truncate public.item')
    await db.query(`insert into public.item values ('after')`)
    const end = await walOf(db)
    await eventually(() => expect(publishing.records.length).toBe(32))
    expect(publishing.records.map(({ value }) => value?.op)).toEqual([...Array(30).fill('c'), 't', 'c'])
    expect(new Set(publishing.records.map(({ partition, key }) => `${partition} ${key}`))).toEqual(new Set(['0 null']))
    // The last commit ends where the WAL stood, or a little before.
    await eventually(async () => expect(await confirmedOf(db)).toBeGreaterThan(end - 4_096n))
  })

  test('a barrier reaches every partition of every topic between what was committed before and after it', async () => {
    await using db = await createItems('barrier')
    await db.query('create table public.other (id integer primary key)')
    await using publishing = await setUpPublishing(db, brokers, [TABLE, 'public.other'])
    await using _ = publishing.start()
    await db.query('insert into public.item select i, 0 from generate_series(1, 50) i')
    await db.query(`select pg_logical_emit_message(true, 'rescore.barrier', 'b-1')`)
    await db.query('insert into public.item select i, 0 from generate_series(51, 100) i')
    await eventually(() => expect(publishing.records.length).toBe(108))
    const lanes = Map.groupBy(publishing.records, ({ topic, partition }) => `${topic} ${partition}`)
    expect(lanes.size).toBe(8)
    for (const lane of lanes.values()) {
      const at = lane.findIndex(({ headers }) => headers['rescore.barrier'] === 'b-1')
      expect(lane[at]).toMatchObject({ key: '{"rescore.barrier":"b-1"}', value: null })
      const ids = (part: typeof lane) => part.map(({ value }) => Number(value?.after?.id))
      expect(Math.max(0, ...ids(lane.slice(0, at)))).toBeLessThanOrEqual(50)
      expect(Math.min(101, ...ids(lane.slice(at + 1)))).toBeGreaterThan(50)
    }
  })

  test.each(['none', 'gzip', 'zstd'] as const)('compression %s is read back whole', async (compression) => {
    await using db = await createItems(compression)
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    await using _ = publishing.start({ compression })
    await db.query(`insert into public.item select i, i, repeat('é"x', 50) from generate_series(1, 500) i`)
    await eventually(() => expect(publishing.records.length).toBe(500))
    expect(publishing.records.every(({ value }) => value?.after?.name === 'é"x'.repeat(50))).toBe(true)
  })

  test('what is too large for its topic together is split, and alone goes without its large columns and is kept whole', async () => {
    await using db = await createItems('large')
    await using publishing = await setUpPublishing(db, brokers, [TABLE], async ({ prefix, ...settings }) => {
      await withAdmin({ prefix, ...settings }, QUIET, 'making a small topic', (admin) =>
        admin.createTopics({
          topics: [
            {
              topic: `${prefix}.${TABLE}`,
              numPartitions: 2,
              replicationFactor: 1,
              configEntries: [{ name: 'max.message.bytes', value: '20000' }],
            },
          ],
        }),
      )
    })
    await using _ = publishing.start()
    await db.query(
      `insert into public.item select i, 0, case when i = 250 then repeat('long', 10000) else repeat('n', 100) end
       from generate_series(1, 500) i`,
    )
    const end = await walOf(db)
    await eventually(() => expect(publishing.records.length).toBe(500))
    const ids = publishing.records.map(({ value }) => Number(value?.after?.id)).sort((a, b) => a - b)
    expect(ids).toEqual(Array.from({ length: 500 }, (_none, index) => index + 1))
    const [large] = publishing.records.filter(({ key }) => key === '{"id":250}')
    expect(large?.value?.after).toEqual({ id: 250, version: 0, name: '__debezium_unavailable_value' })
    expect(JSON.parse(large?.headers['rescore.columns'] ?? '')).toEqual({ after: ['name'], omitted: ['name'] })
    const { rows } = await db.query<{ key: Buffer; code: string; value: Buffer }>(
      'select key, value, code from rescore.unpublished',
    )
    expect(rows.map(({ key, code }) => [key.toString(), code])).toEqual([['{"id":250}', 'MESSAGE_TOO_LARGE']])
    expect(JSON.parse(String(rows[0]?.value)).after.name).toBe('long'.repeat(10_000))
    await eventually(async () => expect(await confirmedOf(db)).toBeGreaterThan(end - 4_096n))
  })

  test('a cut connection to PostgreSQL in the middle of a transaction makes no duplicate and no gap', async () => {
    await using db = await createItems('cut')
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    await using running = publishing.start({ highWaterBytes: 200_000 })
    await db.query(`insert into public.item select i, 0, repeat('x', 200) from generate_series(1, 20000) i`)
    await eventually(() => expect(publishing.records.length).toBeGreaterThan(500))
    await db.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [db.name])
    await eventually(() => expect(running.errors.length).toBeGreaterThan(0))
    await eventually(() => expect(publishing.records.length).toBeGreaterThanOrEqual(20_000))
    await db.query('insert into public.item values (0, 0)')
    await eventually(() => expect(publishing.records.some(({ key }) => key === '{"id":0}')).toBe(true))
    expect(publishing.records.length).toBe(20_001)
    expect(new Set(publishing.records.map(({ key }) => key)).size).toBe(20_001)
  })

  test('a clean stop under load publishes nothing again', async () => {
    await using db = await createItems('stopped')
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    // Confirms nothing by itself: what is confirmed is what the stop confirms.
    const first = publishing.start({ confirmEveryMs: 3_600_000 })
    const rows = 6_000
    const load = db.query(`do $$ begin
      for i in 1 .. ${rows} loop insert into public.item values (i, 0, repeat('n', 200)); commit; end loop; end $$`)
    await eventually(() => expect(publishing.records.length).toBeGreaterThan(300))
    await first.stop()
    await load
    await using _ = publishing.start()
    await eventually(() => expect(new Set(publishing.records.map(({ key }) => key)).size).toBe(rows))
    // A stop between the one row of a transaction and its commit leaves that one.
    expect(publishing.records.length - rows).toBeLessThanOrEqual(1)
  })

  test('a topic that is not there is refused by name', async () => {
    await using db = await createItems('missing')
    await using publishing = await setUpPublishing(db, brokers, [TABLE])
    const running = publishing.start({ topicOf: () => `${publishing.settings.prefix}.gone` })
    await expect(running.done).rejects.toMatchObject({ code: 'LOG_KAFKA_UNKNOWN_TOPIC', fate: 'stop' })
  })
})
