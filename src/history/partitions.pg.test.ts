/** Months of the histories in a real database: made ahead, over a month's edge, after a long absence, and while tables are busy. */
import { expect, test } from 'vitest'
import { writePast } from '../../test/support/past.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { withTransaction } from '../db/pool.ts'
import { parseInstant } from './instant.ts'
import { dropIfEmpty, ensureMonths, readPartitions } from './partitions.ts'

const instant = (text: string) => parseInstant(text) ?? 0n

const monthsOf = async ({ pool }: TestDatabase) =>
  (await readPartitions(pool)).flatMap(({ table }) => /feature_history_(.*)$/.exec(table)?.[1] ?? [])

const placesOf = async ({ query }: TestDatabase) =>
  (
    await query<{ key: string; place: string }>(
      `select key, replace(tableoid::regclass::text, 'rescore.feature_history_', '') as place
       from rescore.feature_history order by key`,
    )
  ).rows.map(({ key, place }) => `${key} ${place}`)

const visited = (key: string, recordedAt: string) =>
  ({ key, op: 'insert', validAt: '2024-01-01', recordedAt, to: { visits: 1 } }) as const

test('months are made ahead, once, also over the end of a year', async () => {
  await using database = await createTestDatabase('months')
  expect(await ensureMonths(database.pool, instant('2023-11-30T23:59:59.999999Z'))).toEqual([])
  expect(await monthsOf(database)).toEqual(['2023_11', '2023_12', '2024_01', '2024_02', 'default'])
  await Promise.all([1, 2, 3].map(() => ensureMonths(database.pool, instant('2023-12-01'))))
  await ensureMonths(database.pool, instant('2023-12-01'))
  expect(await monthsOf(database)).toEqual(['2023_11', '2023_12', '2024_01', '2024_02', '2024_03', 'default'])
  await writePast(database, 'shop', [
    visited('1', '2023-11-30T23:59:59.999999Z'),
    visited('2', '2023-12-01T00:00:00Z'),
    visited('3', '2024-03-31T23:59:59.999999Z'),
  ])
  expect(await placesOf(database)).toEqual(['1 2023_11', '2 2023_12', '3 2024_03'])
})

test('rows of any other time find a place, and move into their month; a clock that went wrong does no harm', async () => {
  await using database = await createTestDatabase('months_strays')
  await ensureMonths(database.pool, instant('2024-05-05'))
  await writePast(database, 'shop', [
    visited('1', '1999-12-31T23:59:59Z'),
    visited('2', '2024-05-05'),
    visited('3', '2031-07-01'),
    visited('4', '2031-07-31'),
  ])
  expect(await placesOf(database)).toEqual(['1 default', '2 2024_05', '3 default', '4 default'])
  expect(await ensureMonths(database.pool, instant('2024-05-05'))).toEqual([])
  expect(await placesOf(database)).toEqual(['1 1999_12', '2 2024_05', '3 2031_07', '4 2031_07'])
  const { rows } = await database.query('select from rescore.feature_history_default')
  expect(rows).toHaveLength(0)
})

test('a busy table is left for later, and writers go on', async () => {
  await using database = await createTestDatabase('months_busy')
  await writePast(database, 'shop', [visited('1', '2024-05-05')])
  await withTransaction(database.pool, { readOnly: true }, async (client) => {
    await client.query('select from rescore.feature_history')
    expect(await ensureMonths(database.pool, instant('2024-05-05'))).toEqual(['rescore.feature_history'])
    expect(await monthsOf(database)).toEqual(['default'])
    await writePast(database, 'shop', [visited('2', '2024-05-06')])
  })
  expect(await ensureMonths(database.pool, instant('2024-05-05'))).toEqual([])
  expect(await placesOf(database)).toEqual(['1 2024_05', '2 2024_05'])
})

test('a month is dropped only when nothing is in it, and nobody reads it', async () => {
  await using database = await createTestDatabase('months_dropped')
  const { pool } = database
  await ensureMonths(pool, instant('2024-05-05'))
  await writePast(database, 'shop', [visited('1', '2024-05-05')])
  const [may] = await readPartitions(pool)
  if (may === undefined) throw new Error('There is no May.')
  expect(await dropIfEmpty(pool, may)).toBe('full')
  await database.query('delete from rescore.feature_history')
  await withTransaction(pool, { readOnly: true }, async (client) => {
    await client.query('select from rescore.feature_history')
    expect(await dropIfEmpty(pool, may)).toBe('busy')
  })
  expect(await dropIfEmpty(pool, may)).toBe('dropped')
  expect(await monthsOf(database)).toEqual(['2024_06', '2024_07', '2024_08', 'default'])
  await writePast(database, 'shop', [visited('1', '2024-05-05')])
  expect(await placesOf(database)).toEqual(['1 default'])
})
