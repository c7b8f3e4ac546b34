/** Values that break a rule, one behaviour at a time. */
import { expect, test } from 'vitest'
import type { Expectation } from '../../src/define/index.ts'
import { company, dealSum, feature, open } from '../recompute/small.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'

const { n, word } = company.columns
const expected = (expect: Expectation) => feature('base', { n }, ({ n }) => n, { expect })

async function violations(db: TestDatabase) {
  const { rows } = await db.query<{ text: string }>(
    `select concat_ws(' ', key, feature, rule, effect, value::text) as text from rescore.violation order by key, feature`,
  )
  return rows.map(({ text }) => text)
}

async function aside(db: TestDatabase) {
  const { rows } = await db.query<{ key: string; code: string; reason: string; inputs: unknown }>(
    'select key, code, reason, inputs from rescore.quarantine order by key',
  )
  return rows
}

test('a blocked value leaves readers as they were, is not tried again for other reasons, and heals with its inputs', async () => {
  await using db = await createTestDatabase('expect')
  const base = expected({ max: 10, otherwise: 'block' })
  const reader = feature('reader', { base, word }, ({ base, word }) => `${base} ${word}`, { type: 'text' })
  const harness = await open(db, [base, reader, dealSum])
  await harness.apply(await harness.exec(`insert into app.companies values (1, 5, 'a')`))
  await harness.apply(await harness.exec('update app.companies set n = 50'))
  expect(await harness.stored()).toEqual({ 1: { base: 5, deal_sum: 0, reader: '5 a' } })
  expect(await violations(db)).toEqual(['1 base max held 50'])
  const { computed } = harness.stage.counters
  await harness.apply(await harness.exec('insert into app.deals values (1, 1, 3)'))
  await harness.apply(await harness.exec(`update app.companies set word = 'b'`))
  expect(harness.stage.counters.computed - computed).toBe(2)
  expect(await harness.stored()).toEqual({ 1: { base: 5, deal_sum: 3, reader: '5 b' } })
  expect(await violations(db)).toEqual(['1 base max held 50'])
  await harness.apply(await harness.exec('update app.companies set n = 7'))
  expect(await harness.stored()).toEqual({ 1: { base: 7, deal_sum: 3, reader: '7 b' } })
  expect(await violations(db)).toEqual([])
})

test('with nothing good to stay with the entity is put aside with what it was given, and heals whole', async () => {
  await using db = await createTestDatabase('expect')
  const harness = await open(db, [expected({ notNull: true, otherwise: 'block' }), dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, null), (2, 2)'))
  expect(await aside(db)).toEqual([
    {
      key: '1',
      code: 'FEATURE_EXPECTATION',
      reason: 'compute returned null, which breaks notNull.',
      inputs: { n: null },
    },
  ])
  expect([await violations(db), await harness.stored()]).toEqual([
    ['1 base notNull aside null'],
    { 2: { base: 2, deal_sum: 0 } },
  ])
  // A new process: what is known is in the tables.
  const again = await open(db, [expected({ notNull: true, otherwise: 'block' }), dealSum])
  await again.sweep()
  expect(again.stage.counters.computed).toBe(0)
  await again.apply(await again.exec('update app.companies set n = 1 where id = 1'))
  expect([await aside(db), await violations(db)]).toEqual([[], []])
  expect(await again.stored()).toEqual({ 1: { base: 1, deal_sum: 0 }, 2: { base: 2, deal_sum: 0 } })
})

test('a stricter rule is brought to bear on what is stored, a looser one lets go, and what passes is not touched', async () => {
  await using db = await createTestDatabase('expect')
  const plain = await open(db, [feature('base', { n }, ({ n }) => n), dealSum])
  await plain.apply(await plain.exec('insert into app.companies select i, i from generate_series(1, 9) i'))
  const read = async () =>
    (await db.query(`select key, xmin::text from rescore.features_company where key <= 5 order by key`)).rows
  const untouched = await read()

  const strict = await open(db, [expected({ max: 5, otherwise: 'quarantine' }), dealSum])
  await strict.sweep()
  expect((await aside(db)).map(({ key }) => key)).toEqual(['6', '7', '8', '9'])
  expect(await violations(db)).toHaveLength(4)
  const looser = await open(db, [expected({ max: 7, otherwise: 'warn' }), dealSum])
  await looser.sweep()
  expect(await aside(db)).toEqual([])
  expect(await violations(db)).toEqual(['8 base max stored 8', '9 base max stored 9'])
  const none = await open(db, [feature('base', { n }, ({ n }) => n), dealSum])
  await none.sweep()
  expect(await violations(db)).toEqual([])
  expect(await read()).toEqual(untouched)
  expect((await db.query('select from rescore.features_company where epoch = 0')).rows).toEqual([])
})

test('an entity that is removed leaves no violation behind', async () => {
  await using db = await createTestDatabase('expect')
  const harness = await open(db, [expected({ max: 5, otherwise: 'warn' })])
  await harness.apply(await harness.exec('insert into app.companies values (1, 6), (2, 7)'))
  expect(await violations(db)).toHaveLength(2)
  await harness.apply(await harness.exec('delete from app.companies where id = 1'))
  await db.query('delete from app.companies')
  await harness.sweep()
  expect(await violations(db)).toEqual([])
})

test('an entity put aside for a feature that is taken out of the code comes back at the next start', async () => {
  await using db = await createTestDatabase('expect')
  const harness = await open(db, [expected({ max: 5, otherwise: 'quarantine' }), dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 1), (2, 9)'))
  await harness.apply(await harness.exec('update app.companies set n = 9'))
  expect((await aside(db)).map(({ key }) => key)).toEqual(['1', '2'])
  const without = await open(db, [dealSum])
  await without.sweep()
  expect([await aside(db), await violations(db)]).toEqual([[], []])
  expect(await without.stored()).toEqual({ 1: { deal_sum: 0 }, 2: { deal_sum: 0 } })
})
