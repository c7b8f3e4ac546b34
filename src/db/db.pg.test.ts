import { cp, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { migrate, migrationsFolder, pendingMigrations } from './migrate.ts'
import { createPool, isRetriableDbError, withTransaction } from './pool.ts'

test('a migrated database has nothing pending, and migrating again applies nothing', async () => {
  await using db = await createTestDatabase('migrate')
  expect(await pendingMigrations(db.pool)).toEqual([])
  expect((await migrate(db.pool)).applied).toEqual([])
})

test('two migrators at once apply a new migration once', async () => {
  await using db = await createTestDatabase('migrate')
  const folder = await mkdtemp(join(tmpdir(), 'rescore-migrations-'))
  await cp(migrationsFolder(), folder, { recursive: true })
  await writeFile(join(folder, '0900_extra.sql'), 'create table rescore.extra (id integer)')
  const results = await Promise.all([migrate(db.pool, folder), migrate(db.pool, folder)])
  expect(results.map((result) => result.applied.length).sort()).toEqual([0, 1])
  await expect(pendingMigrations(db.pool)).rejects.toMatchObject({ code: 'DB_NEWER_THAN_CODE' })
  await writeFile(join(folder, '0900_extra.sql'), 'create table rescore.extra (id bigint)')
  await expect(migrate(db.pool, folder)).rejects.toMatchObject({ code: 'DB_MIGRATION_CHANGED' })
})

test('a failing migration leaves nothing of itself', async () => {
  await using db = await createTestDatabase('migrate')
  const folder = await mkdtemp(join(tmpdir(), 'rescore-migrations-'))
  await cp(migrationsFolder(), folder, { recursive: true })
  await writeFile(join(folder, '0900_bad.sql'), 'create table rescore.half (id integer); select 1/0;')
  await expect(migrate(db.pool, folder)).rejects.toMatchObject({ code: 'DB_MIGRATION_FAILED' })
  const { rows } = await db.query(`select to_regclass('rescore.half') as half`)
  expect(rows).toEqual([{ half: null }])
})

test('values arrive exact', async () => {
  await using db = await createTestDatabase('types')
  const { rows } = await db.query(`select 9007199254740993::int8 as big, 12345678901234567890.5::numeric as money,
    '2026-01-01 00:00:00.123456+00'::timestamptz as at, date '2026-02-28' as day, 0.1::float8 as share`)
  expect(rows[0]).toEqual({
    big: 9007199254740993n,
    money: '12345678901234567890.5',
    at: '2026-01-01 00:00:00.123456+00',
    day: '2026-02-28',
    share: 0.1,
  })
})

test('a serialization failure is worth repeating, a syntax error is not', async () => {
  await using db = await createTestDatabase('retry')
  await db.query('create table t (id integer primary key, n integer); insert into t values (1, 0)')
  const conflict = withTransaction(db.pool, { isolation: 'repeatable read' }, async (client) => {
    await client.query('select * from t')
    await db.query('update t set n = 1')
    await client.query('update t set n = 2')
  })
  await conflict.then(
    () => expect.unreachable('the two updates must conflict'),
    (error: unknown) => expect(isRetriableDbError(error)).toBe(true),
  )
  await db.query('selec 1').then(
    () => expect.unreachable('this is no SQL'),
    (error: unknown) => expect(isRetriableDbError(error)).toBe(false),
  )
})

test('an unreachable server is worth repeating', async () => {
  const pool = createPool({ url: 'postgresql://postgres@127.0.0.1:1/none', applicationName: 'rescore test', max: 1 })
  await pool.query('select 1').then(
    () => expect.unreachable('nothing listens on port 1'),
    (error: unknown) => expect(isRetriableDbError(error)).toBe(true),
  )
  await pool.end()
})

test('options in the URL stand beside our own and cannot undo them', async () => {
  await using db = await createTestDatabase('options')
  const url = `${db.url}?options=${encodeURIComponent('-c statement_timeout=12345 -c max_parallel_workers_per_gather=4')}`
  const pool = createPool({ url, applicationName: 'rescore test', max: 1 })
  const { rows } = await pool.query(
    `select current_setting('statement_timeout') as theirs, current_setting('max_parallel_workers_per_gather') as ours`,
  )
  await pool.end()
  expect(rows).toEqual([{ theirs: '12345ms', ours: '0' }])
})

test('a transaction whose error was swallowed does not count as committed', async () => {
  await using db = await createTestDatabase('swallowed')
  const committing = withTransaction(db.pool, {}, async (client) => {
    await client.query('create table kept (id integer)')
    await expect(client.query('select 1 / 0')).rejects.toThrow('division by zero')
  })
  await expect(committing).rejects.toThrow('was rolled back')
  expect((await db.query(`select to_regclass('kept') as found`)).rows).toEqual([{ found: null }])
})

test('who stands still in a transaction, or does not read its answer, loses its session and its locks', async () => {
  await using db = await createTestDatabase('still')
  await db.query('create table held (id integer); insert into held values (1)')
  const pool = createPool({ url: db.url, applicationName: 'rescore still', max: 2, standsStillMs: 400 })
  const clients = [await pool.connect(), await pool.connect()]
  const [idle, deaf] = clients
  try {
    for (const client of clients) await client.query('begin; select from held for share')
    if (!(deaf instanceof pg.Client)) throw new TypeError('a client of another kind')
    deaf.connection.stream.pause()
    // More than the buffers on the way take.
    const answer = deaf.query(`select repeat('x', 1000000) from generate_series(1, 100)`)
    const outcome = expect(answer).rejects.toSatisfy(isRetriableDbError)
    await eventually(async () => {
      const { rows } = await db.query(`select from pg_stat_activity where application_name = 'rescore still'`)
      expect(rows).toEqual([])
    })
    await db.query('select from held for update nowait')
    deaf.connection.stream.resume()
    await outcome
    await expect(idle?.query('select 1')).rejects.toSatisfy(isRetriableDbError)
  } finally {
    for (const client of clients) client.release(true)
    await pool.end()
  }
})
