/** Figures of a table that is too large to look at whole. */
import { expect, test } from 'vitest'
import { readColumns } from '../../src/observe/columns.ts'
import { createTestDatabase } from '../support/pg.ts'

test('a large table is told from a sample, which says so and is near', async () => {
  await using db = await createTestDatabase('scale')
  const rows = 150_000
  const stored = ['one', 'two'].map((feature, index) => ({ feature, changedIn: index + 1 }))
  // Wide enough that the sample is far from the whole.
  await db.query(
    `create table rescore.features_big (key bigint primary key, one text, two text, epoch integer not null);
     insert into rescore.features_big
       select i, repeat('x', 300), case when i % 5 <> 0 then 'y' end, 1 + i % 2 from generate_series(1, ${rows}) i`,
  )
  const look = () => readColumns(db.pool, 'big', stored, 30_000)
  for (const analysed of [false, true]) {
    if (analysed) await db.query('analyze rescore.features_big')
    const found = await look()
    expect(found?.isExact).toBe(false)
    expect(found?.rows).toBeGreaterThan(rows * 0.75)
    expect(found?.rows).toBeLessThan(rows * 1.25)
    expect(found?.nullRate.get('one')).toBe(0)
    expect(found?.nullRate.get('two')).toBeCloseTo(0.2, 1)
    expect(found?.fresh.get('one')).toBe(found?.rows)
    expect((found?.fresh.get('two') ?? 0) / (found?.rows ?? 1)).toBeCloseTo(0.5, 1)
    expect([found?.isOutdated.get('one'), found?.isOutdated.get('two')]).toEqual([false, true])
  }
  await db.query('delete from rescore.features_big where key > 100')
  await db.query('vacuum full rescore.features_big')
  await db.query(
    `insert into rescore.quarantine (entity, key, feature, code, reason, epoch) values ('big', '1', 'one', '', '', 1)`,
  )
  const few = await look()
  expect(few).toMatchObject({ isExact: true, rows: 100, aside: 1 })
  expect([few?.fresh.get('one'), few?.stale.get('one'), few?.fresh.get('two'), few?.stale.get('two')]).toEqual([
    99, 0, 49, 50,
  ])
}, 120_000)
