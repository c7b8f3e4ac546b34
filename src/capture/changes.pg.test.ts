import { expect, test } from 'vitest'
import { captureTables } from '../../test/support/capture.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { plant } from '../faults.ts'
import { BARRIER_PREFIX } from '../log/log.ts'

/** Text that does not compress below a page, so that it is kept outside the row. */
const BIG = "(select string_agg(md5(i::text), '') from generate_series(1, 400) i)"

test('rows of a COPY, which share an LSN in the write-ahead log, have distinct positions in order', async () => {
  await using db = await createTestDatabase('copy')
  await db.query('create table public.t (id integer primary key)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`copy public.t (id) from program 'seq 1 1500'`)
  const changes = await capture.changes(1_500)
  expect(new Set(changes.map(({ position }) => position.lsn)).size).toBe(1)
  expect(changes.map(({ position }) => position.index)).toEqual(changes.map((_, index) => index))
  expect(changes.map(({ after }) => after?.id)).toEqual(changes.map((_, index) => String(index + 1)))
})

test('a rolled back transaction and a rolled back savepoint deliver nothing', async () => {
  await using db = await createTestDatabase('rollback')
  await db.query('create table public.t (id integer primary key)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query('begin; insert into public.t values (1); rollback')
  await db.query(
    'begin; savepoint a; insert into public.t values (2); rollback to a; insert into public.t values (3); commit',
  )
  await db.query('insert into public.t values (4)')
  const changes = await capture.changes(2)
  expect(changes.map(({ after, position }) => [after?.id, position.index])).toEqual([
    ['3', 0],
    ['4', 0],
  ])
})

test('types arrive as the exact text that the pool reads, whatever the defaults of the database', async () => {
  await using db = await createTestDatabase('types')
  await db.query(`alter database ${db.name} set timezone = 'America/New_York'`)
  await db.query(`alter database ${db.name} set datestyle = 'SQL, DMY'`)
  await db.query(`create type public.mood as enum ('good', 'so "so"');
    create table public.t (id integer primary key, at timestamptz, plain timestamp, day date, big jsonb, money numeric,
      share float8, name text, empty text, missing text, list integer[], words text[], mood public.mood, raw bytea, span interval)`)
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`insert into public.t values
    (1, '2026-01-01 00:00:00.123456+00', '2026-01-01 00:00:00.000001', '0044-03-15 BC', '{"n": 12345678901234567890}', 'NaN',
     0.1::float8 + 0.2, E'tab\\there, \\u00e9\\U0001F600', '', null, '{1,null,3}', array['a,b', 'q"q', ''], 'so "so"', '\\x00ff', '1 day 00:00:00.5'),
    (2, 'infinity', '-infinity', 'infinity', '12345678901234567890.50', 'Infinity', 'NaN', 'x', '', null, '{}', '{}', 'good', '\\x', '0')`)
  const [first, second] = await capture.changes(2)
  expect(first?.after).toEqual({
    id: '1',
    at: '2026-01-01 00:00:00.123456+00',
    plain: '2026-01-01 00:00:00.000001',
    day: '0044-03-15 BC',
    big: '{"n": 12345678901234567890}',
    money: 'NaN',
    share: '0.30000000000000004',
    name: 'tab\there, é😀',
    empty: '',
    missing: null,
    list: '{1,NULL,3}',
    words: '{"a,b","q\\"q",""}',
    mood: 'so "so"',
    raw: '\\x00ff',
    span: '1 day 00:00:00.5',
  })
  const columns = Object.keys(first?.after ?? {})
  const { rows } = await db.query(
    `select ${columns.map((name) => `${name}::text`).join(', ')} from public.t order by id`,
  )
  expect([first?.after, second?.after]).toEqual(rows)
})

async function updateBesideToast(identity: 'full' | 'default') {
  await using db = await createTestDatabase('toast')
  await db.query('create table public.t (id integer primary key, n integer, big text)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`alter table public.t replica identity ${identity}`)
  await db.query(`insert into public.t select 1, 1, ${BIG}`)
  await db.query('update public.t set n = 2')
  const [insert, update] = await capture.changes(2)
  return { stored: insert?.after?.big, update }
}

test('an unchanged TOASTed value is filled from the old row, and is not among the changed columns', async () => {
  const { stored, update } = await updateBesideToast('full')
  expect(stored).toHaveLength(12_800)
  expect(update?.after).toEqual({ id: '1', n: '2', big: stored })
  expect(update?.changed).toEqual(['n'])
})

test('an unchanged TOASTed value is left out, not null, where the old row is not in the log', async () => {
  const { update } = await updateBesideToast('default')
  expect(update).toMatchObject({ before: null, after: { id: '1', n: '2' }, changed: null })
  expect(update?.after).not.toHaveProperty('big')
})

test('the check of TOASTed values notices when they are read as null', async () => {
  using _bug = plant('toast-as-null')
  const { update } = await updateBesideToast('full')
  expect(update?.after?.big).toBeNull()
  expect(update?.changed).toContain('big')
})

test('a changed primary key carries the old and the new key, with and without whole old rows', async () => {
  await using db = await createTestDatabase('key')
  await db.query('create table public.t (id integer primary key, name text); insert into public.t values (1, $$a$$)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query('update public.t set id = 2')
  await db.query('alter table public.t replica identity default')
  await db.query('update public.t set id = 3')
  await db.query('delete from public.t')
  expect(await capture.changes(3)).toMatchObject([
    { op: 'update', before: { id: '1', name: 'a' }, after: { id: '2', name: 'a' }, changed: ['id'] },
    { op: 'update', before: { id: '2' }, after: { id: '3', name: 'a' }, changed: null },
    { op: 'delete', before: { id: '3' }, after: null },
  ])
})

test('truncating several tables, one of them by cascade, is one change for each', async () => {
  await using db = await createTestDatabase('truncate')
  await db.query(`create table public.a (id integer primary key); create table public.b (id integer primary key);
    create table public.c (id integer primary key references public.a)`)
  await using capture = await captureTables(db, ['public.a', 'public.b', 'public.c'])
  await db.query('begin; insert into public.b values (1); truncate public.a, public.b cascade; commit')
  const [, ...truncates] = await capture.changes(4)
  expect(truncates.map(({ op, table }) => `${op} ${table}`).sort()).toEqual([
    'truncate public.a',
    'truncate public.b',
    'truncate public.c',
  ])
  expect(truncates.map(({ position }) => position.index)).toEqual([1, 2, 3])
})

test('columns added, dropped, renamed and retyped while streaming are decoded as they are at each change', async () => {
  await using db = await createTestDatabase('ddl')
  await db.query('create table public.t (id integer primary key, a integer, b text)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`insert into public.t values (1, 7, 'x')`)
  await db.query('alter table public.t add column c integer default 5')
  await db.query('update public.t set a = 8')
  await db.query('alter table public.t drop column b')
  await db.query('update public.t set a = 9')
  await db.query('alter table public.t rename column a to z')
  await db.query('update public.t set z = 10')
  await db.query('alter table public.t alter column z type numeric(6,2)')
  await db.query('update public.t set z = z + 1')
  const changes = await capture.changes(5)
  expect(changes.map(({ after, changed }) => [after, changed])).toEqual([
    [{ id: '1', a: '7', b: 'x' }, null],
    [{ id: '1', a: '8', b: 'x', c: '5' }, ['a']],
    [{ id: '1', a: '9', c: '5' }, ['a']],
    [{ id: '1', z: '10', c: '5' }, ['z']],
    [{ id: '1', z: '11.00', c: '5' }, ['z']],
  ])
})

test('an update that changes nothing says so', async () => {
  await using db = await createTestDatabase('noop')
  await db.query(
    `create table public.t (id integer primary key, name text, big text); insert into public.t select 1, 'a', ${BIG}`,
  )
  await using capture = await captureTables(db, ['public.t'])
  await db.query('update public.t set name = name')
  expect(await capture.changes(1)).toMatchObject([{ op: 'update', changed: [] }])
})

test('a row filter turns an update that enters it into an insert, and one that leaves it into a delete', async () => {
  await using db = await createTestDatabase('filter')
  await db.query('create table public.t (id integer primary key, n integer); insert into public.t values (1, 1)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`alter publication ${capture.setup.publication} set table public.t where (n > 10)`)
  await db.query('update public.t set n = 2')
  await db.query('update public.t set n = 11')
  await db.query('update public.t set n = 12')
  await db.query('update public.t set n = 3')
  expect((await capture.changes(3)).map(({ op, changed }) => [op, changed])).toEqual([
    ['insert', null],
    ['update', ['n']],
    ['delete', null],
  ])
})

test('an update of a column outside a column list is not held back: it arrives without that column', async () => {
  await using db = await createTestDatabase('columns')
  await db.query(
    'create table public.t (id integer primary key, a integer, b integer); insert into public.t values (1, 1, 1)',
  )
  await using capture = await captureTables(db, ['public.t'])
  // A column list must hold the replica identity: with FULL it can leave out nothing.
  await db.query('alter table public.t replica identity default')
  await db.query(`alter publication ${capture.setup.publication} set table public.t (id, a)`)
  await db.query('update public.t set b = 2')
  const [update] = await capture.changes(1)
  expect(update).toMatchObject({ op: 'update', after: { id: '1', a: '1' } })
  expect(update?.after).not.toHaveProperty('b')
})

test('a transaction with a replication origin is decoded like any other', async () => {
  await using db = await createTestDatabase('origin')
  await db.query('create table public.t (id integer primary key)')
  await using capture = await captureTables(db, ['public.t'])
  const client = await db.pool.connect()
  try {
    await client.query('select pg_replication_origin_create($1)', [db.name])
    await client.query('select pg_replication_origin_session_setup($1)', [db.name])
    await client.query('insert into public.t values (1)')
    await client.query('select pg_replication_origin_session_reset()')
  } finally {
    client.release(true)
    await db.query('select pg_replication_origin_drop($1)', [db.name])
  }
  expect(await capture.changes(1)).toMatchObject([{ op: 'insert', after: { id: '1' } }])
})

test('a message inside a transaction takes its place among the changes, one outside is passed over', async () => {
  await using db = await createTestDatabase('message')
  await db.query('create table public.t (id integer primary key)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`begin; insert into public.t values (1); select pg_logical_emit_message(true, '${BARRIER_PREFIX}', 'né');
    select pg_logical_emit_message(false, '${BARRIER_PREFIX}', 'outside'); insert into public.t values (2); commit`)
  const entries = await capture.take(3)
  expect(entries.map(({ kind, position }) => [kind, position.index])).toEqual([
    ['change', 0],
    ['barrier', 1],
    ['change', 2],
  ])
  expect(entries[1]).toMatchObject({ prefix: BARRIER_PREFIX, content: 'né' })
})

test('values that are kept are not overwritten by what the driver reads later', async () => {
  await using db = await createTestDatabase('retain')
  await db.query('create table public.t (id integer primary key, name text)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`insert into public.t select i, repeat(i::text, 20) from generate_series(1, 20000) i`)
  const changes = await capture.changes(20_000)
  const wrong = changes.filter(({ after }) => after?.name !== after?.id?.repeat(20))
  expect(wrong).toEqual([])
})
