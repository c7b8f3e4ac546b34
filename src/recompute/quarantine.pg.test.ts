/** Entities that cannot be computed. */
import { expect, test } from 'vitest'
import { company, feature, open, size } from '../../test/recompute/small.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'

async function quarantine(db: TestDatabase) {
  const { rows } = await db.query('select key, feature, code, reason from rescore.quarantine order by key')
  return rows
}

test('a failing entity is put aside with the reason, its neighbours go through, and it heals whole', async () => {
  await using db = await createTestDatabase('stage')
  const fragile = feature('fragile', { word: company.columns.word }, ({ word }) => {
    if (word === 'throw') throw new Error(`bad \0 ${'x'.repeat(600)}`)
    return word === 'nan' ? Number.NaN : 1
  })
  const harness = await open(db, [fragile, size()])
  await harness.apply(await harness.exec(`insert into app.companies values (1, 1, 'ok'), (2, 2, 'throw')`))
  expect(await quarantine(db)).toMatchObject([{ key: '2', feature: 'fragile', code: 'FEATURE_THREW' }])
  expect(await harness.stored()).toEqual({ 1: { fragile: 1, size: 1 } })
  await harness.apply(await harness.exec(`update app.companies set word = 'nan', n = n * 10`))
  expect((await quarantine(db)).map(({ key, code }) => [key, code])).toEqual([
    ['1', 'FEATURE_NOT_FINITE'],
    ['2', 'FEATURE_NOT_FINITE'],
  ])
  expect(await harness.stored()).toEqual({ 1: { fragile: 1, size: 1 } })
  // Passed over under the same definitions, not retried for ever.
  const { handled } = harness.stage.counters
  await harness.sweep()
  expect(harness.stage.counters.handled).toBe(handled)
  await harness.apply(await harness.exec(`update app.companies set word = 'ok'`))
  expect([await quarantine(db), await harness.stored()]).toEqual([
    [],
    { 1: { fragile: 1, size: 10 }, 2: { fragile: 1, size: 20 } },
  ])
})

test('an entity that is removed while it is put aside leaves nothing', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [feature('fragile', { n: company.columns.n }, ({ n }) => Number(n) / 0)])
  await harness.apply(await harness.exec('insert into app.companies values (1, 1), (2, 1)'))
  await harness.apply(await harness.exec('delete from app.companies where id = 1'))
  expect((await quarantine(db)).map(({ key }) => key)).toEqual(['2'])
  await db.query('delete from app.companies')
  await harness.sweep()
  expect(await quarantine(db)).toEqual([])
})

test('what comes behind the failing feature is left alone until that can have changed; what comes before takes over', async () => {
  await using db = await createTestDatabase('stage')
  const first = feature('first', { n: company.columns.n }, ({ n }) => {
    if (Number(n) < 0) throw new Error('below zero')
    return Number(n)
  })
  const second = feature('second', { first, word: company.columns.word }, ({ word }) => {
    if (word === 'throw') throw new Error('bad word')
    return 1
  })
  const harness = await open(db, [first, second])
  const failing = async () => (await quarantine(db)).map(({ feature, reason }) => `${feature}: ${reason}`)
  await harness.apply(await harness.exec(`insert into app.companies values (1, 1, 'throw')`))
  expect(await failing()).toEqual(['second: bad word'])
  await harness.apply(await harness.exec('update app.companies set n = -1'))
  expect(await failing()).toEqual(['first: below zero'])
  const { computed } = harness.stage.counters
  await harness.apply(await harness.exec(`update app.companies set word = 'ok'`))
  expect([harness.stage.counters.computed, await failing()]).toEqual([computed, ['first: below zero']])
  await harness.apply(await harness.exec('update app.companies set n = 7'))
  expect([await failing(), await harness.stored()]).toEqual([[], { 1: { first: 7, second: 1 } }])
})
