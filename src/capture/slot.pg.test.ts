import { expect, test } from 'vitest'
import { captureTables, setupOf, startCapture } from '../../test/support/capture.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { ensureCapture, resync } from './slot.ts'

async function prepared(label: string) {
  const db = await createTestDatabase(label)
  await db.query('create table public.t (id integer primary key)')
  return { db, setup: setupOf(db.name, ['public.t']) }
}

async function publishedTables(db: TestDatabase): Promise<readonly string[]> {
  const { rows } = await db.query<{ id: string }>(
    `select schemaname || '.' || tablename as id from pg_publication_tables where pubname = $1 order by 1`,
    [db.name],
  )
  return rows.map(({ id }) => id)
}

test('setting up twice changes nothing, and a start that died before its note is taken up again', async () => {
  const { db, setup } = await prepared('again')
  await using _db = db
  await ensureCapture(db.pool, setup)
  const before = await db.query('select * from rescore.capture')
  await ensureCapture(db.pool, setup)
  expect((await db.query('select * from rescore.capture')).rows).toEqual(before.rows)
  // As if killed between the slot and its note.
  await db.query('delete from rescore.capture')
  await ensureCapture(db.pool, setup)
  expect((await db.query('select slot from rescore.capture')).rows).toEqual([{ slot: setup.slot }])
})

test('the publication follows the watched tables, and loses filters that someone put on it', async () => {
  const { db, setup } = await prepared('publication')
  await using _db = db
  await db.query('create table public."Odd name" (id integer primary key)')
  await ensureCapture(db.pool, setup)
  await db.query(`alter publication ${setup.publication} set table public.t where (id > 5)`)
  await db.query(`alter publication ${setup.publication} set (publish = 'insert')`)
  const tables = ['public.t', 'public.Odd name']
  await ensureCapture(db.pool, { ...setup, tables, owned: tables })
  expect(await publishedTables(db)).toEqual(['public.Odd name', 'public.t'])
  const { rows } = await db.query(
    `select pubupdate, pubdelete, pubtruncate, (select count(*)::integer from pg_publication_rel where prqual is not null and prpubid = p.oid) as filters
     from pg_publication p where pubname = $1`,
    [setup.publication],
  )
  expect(rows).toEqual([{ pubupdate: true, pubdelete: true, pubtruncate: true, filters: 0 }])
  await ensureCapture(db.pool, setup)
  expect(await publishedTables(db)).toEqual(['public.t'])
})

test.each([
  ['CAPTURE_SLOT_LOST', 'the slot is gone', 'select pg_drop_replication_slot(slot) from rescore.capture'],
  [
    'CAPTURE_SLOT_MOVED',
    'something else moved the slot',
    'select pg_replication_slot_advance(slot, pg_current_wal_lsn()) from rescore.capture',
  ],
  ['CAPTURE_OTHER_DATABASE', 'the system id is another one', `update rescore.capture set system_id = '1'`],
  ['CAPTURE_OTHER_DATABASE', 'the timeline is another one', 'update rescore.capture set timeline = timeline + 1'],
  [
    'CAPTURE_RESTORED',
    'a stage stands ahead of the write-ahead log',
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ('recompute', 'FF/0', 0, '0/0')`,
  ],
])('%s: refused when %s', async (code, _when, damage) => {
  const { db, setup } = await prepared('refused')
  await using _db = db
  await ensureCapture(db.pool, setup)
  await db.query('insert into public.t values (1)')
  await db.query(damage)
  await expect(ensureCapture(db.pool, setup)).rejects.toMatchObject({
    code,
    fate: 'stop',
    mend: expect.stringContaining('rescore resync'),
  })
})

test('after a resync there is a new slot, and every definition is stale', async () => {
  const { db, setup } = await prepared('resync')
  await using _db = db
  await ensureCapture(db.pool, setup)
  await db.query(
    `insert into rescore.definition (entity, feature, version, hash, changed_in_epoch) values ('c', 'f', 1, 'h', 3)`,
  )
  await db.query('select pg_drop_replication_slot($1)', [setup.slot])
  await resync(db.pool)
  await ensureCapture(db.pool, setup)
  expect((await db.query('select changed_in_epoch from rescore.definition')).rows).toEqual([{ changed_in_epoch: 4 }])
})

test('a slot of the same name in another database is refused and left alone', async () => {
  const { db, setup } = await prepared('foreign')
  await using _db = db
  const other = await prepared('foreign')
  await using _other = other.db
  await ensureCapture(db.pool, setup)
  const taken = { ...other.setup, slot: setup.slot }
  await expect(ensureCapture(other.db.pool, taken)).rejects.toMatchObject({
    code: 'CAPTURE_SLOT_FOREIGN',
    fate: 'stop',
  })
  await resync(other.db.pool)
  await ensureCapture(db.pool, setup)
})

test('a table that is not ours and does not log old values is refused with the statement that mends it', async () => {
  const { db, setup } = await prepared('identity')
  await using _db = db
  const theirs = { ...setup, owned: [] }
  const refusal = ensureCapture(db.pool, theirs)
  await expect(refusal).rejects.toMatchObject({
    code: 'CAPTURE_REPLICA_IDENTITY',
    mend: 'alter table "public"."t" replica identity full;',
  })
  await db.query('alter table "public"."t" replica identity full;')
  await ensureCapture(db.pool, theirs)
})

test('a watched table that does not exist is named', async () => {
  const { db, setup } = await prepared('absent')
  await using _db = db
  await expect(ensureCapture(db.pool, { ...setup, tables: ['public.absent'] })).rejects.toMatchObject({
    code: 'CAPTURE_TABLE_MISSING',
    message: expect.stringContaining('"public"."absent"'),
  })
})

test.each([
  ['CAPTURE_TABLE_BUSY', 'public.t'],
  ['CAPTURE_SLOT_CREATE', 'public.other'],
])('an open transaction that holds the set-up up is named by its process: %s', async (code, written) => {
  const { db, setup } = await prepared('blocked')
  await using _db = db
  await db.query('create table public.other (id integer)')
  const blocker = await db.pool.connect()
  try {
    await blocker.query(`begin; insert into ${written} values (1)`)
    const { rows } = await blocker.query<{ pid: number }>('select pg_backend_pid() as pid')
    await expect(ensureCapture(db.pool, { ...setup, createTimeoutMs: 300 })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(new RegExp(`\\b${rows[0]?.pid}\\b`)),
    })
  } finally {
    blocker.release(true)
  }
  await ensureCapture(db.pool, setup)
})

test('a running capture recognises the database anew before it connects again', async () => {
  const { db, setup } = await prepared('recognise')
  await using _db = db
  await ensureCapture(db.pool, setup)
  await using capture = startCapture(db, setup)
  await db.query('insert into public.t values (1)')
  await capture.take(1)
  // As after a failover: the same address, another timeline.
  await db.query('update rescore.capture set timeline = timeline + 1')
  await db.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [setup.slot])
  await expect(capture.done).rejects.toMatchObject({ code: 'CAPTURE_OTHER_DATABASE' })
})

test('a publication that is dropped under a running capture stops it before the slot moves on', async () => {
  const { db } = await prepared('dropped')
  await using _db = db
  await db.query('create table public.other (id integer, filler text)')
  await using capture = await captureTables(db, ['public.t'])
  await db.query(`drop publication ${db.name}`)
  await db.query('insert into public.t values (1)')
  await db.query(`insert into public.other select i, repeat('y', 500) from generate_series(1, 6000) i`)
  await expect(capture.done).rejects.toMatchObject({ code: 'CAPTURE_PUBLICATION_LOST', fate: 'stop' })
  await expect(ensureCapture(db.pool, capture.setup)).rejects.toMatchObject({ code: 'CAPTURE_PUBLICATION_LOST' })
})
