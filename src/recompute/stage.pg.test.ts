/** Behaviours of the stage one by one, on two small tables. */
import { expect, test } from 'vitest'
import { change } from '../../test/recompute/harness.ts'
import { company, dealSum, feature, open, sales, size } from '../../test/recompute/small.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { plant } from '../faults.ts'

async function history(db: TestDatabase) {
  const { rows } = await db.query(
    'select key, op, changed, causes, cause_count, epoch from rescore.feature_history order by id',
  )
  return rows
}

test('a value equal to the stored one wakes no reader and writes nothing', async () => {
  await using db = await createTestDatabase('stage')
  const calls: string[] = []
  const sign = feature('sign', { n: company.columns.n }, ({ n }) => Math.sign(Number(n)))
  const text = feature(
    'text',
    { sign },
    (inputs) => {
      calls.push('text')
      return String(inputs.sign)
    },
    { type: 'text' },
  )
  const harness = await open(db, [text])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  calls.length = 0
  const { written } = harness.stage.counters
  await harness.apply(await harness.exec('update app.companies set n = 7'))
  expect([calls, harness.stage.counters.written]).toEqual([[], written])
  await harness.apply(await harness.exec('update app.companies set n = -7'))
  expect([calls, await harness.stored()]).toEqual([['text'], { 1: { sign: -1, text: '-1' } }])
})

test('within its tolerance a feature stays as stored, drift included, and readers see the stored value', async () => {
  await using db = await createTestDatabase('stage')
  const rough = size({ equal: { abs: 1 } })
  const reader = feature(
    'reader',
    { rough, sum: sales.sum('n') },
    (inputs) => Number(inputs.rough) + Number(inputs.sum),
  )
  const harness = await open(db, [reader])
  await harness.apply(await harness.exec('insert into app.companies values (1, 10)'))
  const nearby = await harness.exec('update app.companies set n = 10.8')
  const child = await harness.exec('insert into app.deals values (1, 1, 100)')
  await harness.apply([...nearby, ...child])
  expect(await harness.stored()).toEqual({ 1: { size: 10, reader: 110 } })
  await harness.apply(await harness.exec('update app.companies set n = 11.2'))
  expect(await harness.stored()).toEqual({ 1: { size: 11.2, reader: 111.2 } })
})

test('history tells from, to and why; a change that moves nothing, and one of the epoch alone, are not in it', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size(), dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  await harness.apply(await harness.exec(`update app.companies set word = 'unread'`))
  await harness.apply(await harness.exec('update app.companies set n = 6'))
  const again = await open(db, [size({ version: 2 }), dealSum])
  await again.sweep()
  await again.apply(await again.exec('delete from app.companies'))
  expect(await history(db)).toMatchObject([
    {
      op: 'insert',
      changed: { size: { to: 5 }, deal_sum: { to: 0 } },
      cause_count: 1,
      epoch: 1,
    },
    {
      op: 'update',
      changed: { size: { from: 5, to: 6 } },
      causes: [{ table: 'app.companies', key: '1', op: 'update', column: 'n', from: '5', to: '6' }],
    },
    { op: 'delete', changed: null, causes: [{ op: 'delete' }], epoch: 2 },
  ])
  expect(await again.stored()).toEqual({})
})

test('with the history dropped on purpose there is none', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size()])
  using _ = plant('history-dropped')
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  expect([await history(db), await harness.stored()]).toEqual([[], { 1: { size: 5 } }])
})

test('an older snapshot never overwrites a newer row and leaves no history, unless the guard is taken out', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size()])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  const stale = await harness.exec('update app.companies set n = 6')
  await harness.apply(stale, 1n)
  expect([await harness.stored(), (await history(db)).length]).toEqual([{ 1: { size: 5 } }, 1])
  const gone = await harness.exec('delete from app.companies')
  await harness.apply(gone, 1n)
  expect([await harness.stored(), (await history(db)).length]).toEqual([{ 1: { size: 5 } }, 1])
  await db.query('insert into app.companies values (1, 6)')
  using _ = plant('no-version-guard')
  await harness.apply(stale, 1n)
  expect(await harness.stored()).toEqual({ 1: { size: 6 } })
})

test('reading an undeclared input stops in strict mode, even when the function catches it', async () => {
  await using db = await createTestDatabase('stage')
  const sly = feature('sly', { n: company.columns.n }, (inputs) => {
    try {
      return inputs.word === undefined ? 1 : 2
    } catch {
      return 3
    }
  })
  const strict = await open(db, [sly])
  const changes = await strict.exec('insert into app.companies values (1, 5)')
  await expect(strict.apply(changes)).rejects.toMatchObject({ code: 'FEATURE_UNDECLARED_INPUT', fate: 'stop' })
  expect(await strict.stored()).toEqual({})
  const loose = await open(db, [sly], { strict: false })
  await loose.apply(changes)
  expect(await loose.stored()).toEqual({ 1: { sly: 1 } })
})

test('whole numbers, floats, -0 and texts come back as exactly themselves', async () => {
  await using db = await createTestDatabase('stage')
  const values = { big: 2 ** 53 - 1, tiny: 5e-324, third: 1 / 3, zero: -0, odd: 'a"\\,{}\n😀\ud83d' }
  const harness = await open(db, [
    feature('big', {}, () => values.big, { type: 'integer' }),
    feature('tiny', {}, () => values.tiny),
    feature('third', {}, () => values.third),
    feature('zero', {}, () => values.zero),
    feature('odd', {}, () => values.odd, { type: 'text' }),
  ])
  const changes = await harness.exec('insert into app.companies values (1)')
  await harness.apply(changes)
  expect(await harness.stored()).toEqual({ 1: { ...values, zero: 0, odd: values.odd.toWellFormed() } })
  const { written } = harness.stage.counters
  await harness.apply(changes)
  expect(harness.stage.counters.written).toBe(written)
})

test('a changed primary key removes the old entity and makes the new', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size()])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  await db.query('update app.companies set id = 2')
  await harness.apply([
    change('app.companies', 'update', { id: '1', n: '5', word: null }, { id: '2', n: '5', word: null }),
  ])
  expect(await harness.stored()).toEqual({ 2: { size: 5 } })
})

test('one value no key can have harms nobody', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size(), dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  await harness.apply([
    change('app.deals', 'insert', null, { id: '1', company_id: '99999999999999999999', n: '1' }),
    ...(await harness.exec('insert into app.deals values (2, 1, 7)')),
  ])
  expect(await harness.stored()).toEqual({ 1: { size: 5, deal_sum: 7 } })
})

test('what happened is told once it is committed: moves, causes, and how much was computed', async () => {
  await using db = await createTestDatabase('stage')
  const harness = await open(db, [size(), dealSum])
  await harness.apply(await harness.exec('insert into app.companies values (1, 5)'))
  harness.events.length = 0
  await harness.apply(await harness.exec('insert into app.deals values (1, 1, 7)'))
  expect(harness.events).toMatchObject([
    {
      type: 'recomputed',
      entity: 'company',
      key: '1',
      moves: [{ feature: 'deal_sum', from: 0, to: 7 }],
      causes: [{ table: 'app.deals', key: '1', op: 'insert', column: null }],
      computed: 1,
    },
  ])
})
