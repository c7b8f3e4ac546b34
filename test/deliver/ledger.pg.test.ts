import { expect, test } from 'vitest'
import { prepareDeliveries } from '../../src/deliver/prepare.ts'
import { deliveryStandings, previewDelivery, retryAside } from '../../src/deliver/preview.ts'
import { memoryDelivery as delivery, graph, Memory, setting, values } from './setting.ts'

const sum = (passes: readonly { readonly written: number }[]) => passes.reduce((all, { written }) => all + written, 0)

test('what differs is written once; a score that came out equal, or moved less than a digit, writes nothing', async () => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory()
  await set.classify([
    [1, 'high', 0.9],
    [2, 'low', 0.1],
  ])
  expect(sum(await set.deliver(to, memory))).toBe(2)
  await set.classify([
    [1, 'high', 0.9],
    [2, 'low', 0.100001],
  ])
  expect(sum(await set.deliver(to, memory))).toBe(0)
  await set.classify([[2, 'low', 0.2]])
  await set.deliver(to, memory)
  expect(memory.heard.at(-1)).toMatchObject({
    key: '2',
    changed: { growth_probability: 0.2 },
    previous: values('low', 0.1),
  })
  expect(memory.heard).toHaveLength(3)
  expect(Object.fromEntries(memory.rows)).toEqual({ 1: values('high', 0.9), 2: values('low', 0.2) })
  const { rows } = await set.db.query('select written::int, same::int from rescore.delivery_destination')
  // The equal score of 1 never became due: its label and probability are what they were.
  expect(rows).toEqual([{ written: 3, same: 1 }])
})

test('a score that is rolled back is never due', async () => {
  const to = delivery()
  await using set = await setting([to])
  await set.classify([[1, 'high', 0.9]])
  await set.deliver(to, new Memory())
  const client = await set.db.pool.connect()
  await client.query(`begin; update rescore.classification set label = 'low'; rollback`)
  client.release()
  expect(await set.deliver(to, new Memory())).toEqual([])
})

test('what is written between taking a reason and settling it is written too', async () => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory()
  await set.classify([[1, 'high', 0.9]])
  const faults = {
    hit: async (point: string) => {
      if (point === 'deliver:after-write' && memory.heard.length === 1) await set.classify([[1, 'low', 0.2]])
    },
  }
  await set.deliver(to, memory, { faults })
  expect(memory.rows.get('1')).toEqual(values('low', 0.2))
})

test('within the dead band nothing is written, a slow drift is in the end, and a new label at once', async () => {
  const to = delivery({ deadBand: 0.05 })
  await using set = await setting([to])
  const memory = new Memory()
  const chances: unknown[] = []
  for (const [name, chance] of [
    ['high', 0.8],
    ['high', 0.82],
    ['high', 0.84],
    ['high', 0.86],
    ['low', 0.85],
  ] as const) {
    await set.classify([[1, name, chance]])
    await set.deliver(to, memory)
    chances.push(memory.rows.get('1')?.growth_probability)
  }
  expect(chances).toEqual([0.8, 0.8, 0.8, 0.86, 0.85])
  const { rows } = await set.db.query('select held::int from rescore.delivery_destination')
  expect(rows).toEqual([{ held: 2 }])
})

test('a day has so many writes and not one more, a crash between counting and writing included', async () => {
  const to = delivery({ perDay: 5 })
  await using set = await setting([to])
  const memory = new Memory(2)
  await set.classify(Array.from({ length: 9 }, (_, key) => [key, 'high', 0.9] as const))
  const crash = {
    hit: (point: string) => (point === 'deliver:before-write' ? Promise.reject(new Error('killed')) : undefined),
  }
  await expect(set.deliver(to, memory, { faults: crash })).rejects.toThrow('killed')
  const passes = await set.deliver(to, memory)
  expect(memory.heard).toHaveLength(3)
  expect(passes.at(-1)?.pauseMs).toBeGreaterThan(0)
  await set.db.query(
    `update rescore.delivery_day set day = day - 1; update rescore.delivery set due_at = now() where due_at is not null`,
  )
  await set.deliver(to, memory)
  expect(memory.heard).toHaveLength(8)
})

test('a record that is refused waits longer each time with its reason, and its neighbours go through', async () => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory()
  memory.refuses = ({ key }) => key === '2'
  await set.classify([
    [1, 'high', 0.9],
    [2, 'high', 0.9],
    [3, 'high', 0.9],
  ])
  const waits: number[] = []
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    await set.deliver(to, memory)
    const { rows } = await set.db.query<{ attempts: number; code: string; wait: number }>(
      `select attempts, code, extract(epoch from due_at - failed_at)::float8 as wait from rescore.delivery where key = '2'`,
    )
    expect(rows).toMatchObject([{ attempts: attempt, code: 'TEST_REFUSED' }])
    waits.push(Math.round(rows[0]?.wait ?? 0))
    // A new score does not shorten the wait.
    await set.classify([[2, 'high', 0.9 - attempt / 10]])
    expect(sum(await set.deliver(to, memory))).toBe(0)
    await set.db.query(`update rescore.delivery set due_at = now() where key = '2'`)
  }
  expect(waits).toEqual([60, 120, 240])
  expect([...memory.rows.keys()].sort()).toEqual(['1', '3'])
  memory.refuses = () => false
  await set.deliver(to, memory)
  expect(memory.rows.get('2')).toEqual(values('high', 0.6))
})

test('a record written too often within an hour is left alone, and says so', async () => {
  const to = delivery({ perRecordHour: 3 })
  await using set = await setting([to])
  const memory = new Memory()
  for (let turn = 0; turn < 6; turn += 1) {
    await set.classify([[1, turn % 2 === 0 ? 'high' : 'low', 0.5]])
    await set.deliver(to, memory)
  }
  expect(memory.heard).toHaveLength(3)
  const { rows } = await set.db.query(`select code from rescore.delivery where key = '1'`)
  expect(rows).toEqual([{ code: 'DELIVER_FLAPPING' }])
})

test('an entity that is gone is told of once, if it was ever told of', async () => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory()
  await set.classify([[1, 'high', 0.9]])
  await set.deliver(to, memory)
  await set.classify([[2, 'high', 0.9]])
  await set.declassify(1, 2)
  await set.deliver(to, memory)
  expect(memory.heard.map(({ key, isGone }) => [key, isGone])).toEqual([
    ['1', false],
    ['1', true],
  ])
  const { rows } = await set.db.query('select key from rescore.delivery')
  expect(rows).toEqual([])
})

test('a delivery declared late hears of all there is; one that was away hears only of what changed', async () => {
  const to = delivery()
  await using set = await setting([])
  const memory = new Memory()
  await set.classify([
    [1, 'high', 0.9],
    [2, 'low', 0.1],
  ])
  expect((await set.db.query('select * from rescore.delivery_due')).rows).toEqual([])
  await prepareDeliveries(set.db.pool, graph, [to])
  await set.deliver(to, memory)
  expect(memory.heard).toHaveLength(2)
  await prepareDeliveries(set.db.pool, graph, [])
  await set.classify([[2, 'high', 0.8]])
  await prepareDeliveries(set.db.pool, graph, [to])
  await set.deliver(to, memory)
  expect(memory.heard.map(({ key }) => key)).toEqual(['1', '2', '2'])
})

test('the preview names what the next passes will write, writes nothing, and is empty after them', async () => {
  const to = delivery()
  await using set = await setting([])
  const memory = new Memory()
  await set.classify(Array.from({ length: 1_200 }, (_, key) => [key, 'high', 0.9] as const))
  const { pool } = set.db
  expect(await previewDelivery(pool, to, 2)).toEqual({
    delivery: 'memory',
    writes: 1_200,
    removals: 0,
    examples: ['0', '1'].map((key) => ({ key, from: null, to: values('high', 0.9) })),
  })
  await prepareDeliveries(pool, graph, [to])
  await set.deliver(to, memory)
  expect(await previewDelivery(pool, to, 2)).toMatchObject({ writes: 0 })
  await set.classify([[7, 'low', 0.9]])
  await set.declassify(8)
  expect(await previewDelivery(pool, to, 5)).toMatchObject({
    writes: 2,
    removals: 1,
    examples: [
      { key: '7', from: values('high', 0.9), to: { growth_label: 'low' } },
      { key: '8', to: {} },
    ],
  })
  expect(memory.heard).toHaveLength(1_200)
})

test('what was set aside is tried again at once when it is asked for', async () => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory()
  memory.refuses = () => true
  await set.classify([[1, 'high', 0.9]])
  await set.deliver(to, memory)
  expect(await deliveryStandings(set.db.pool)).toMatchObject([{ delivery: 'memory', written: 0, aside: 1, due: 1 }])
  memory.refuses = () => false
  expect(await retryAside(set.db.pool, ['memory'])).toBe(1)
  await set.deliver(to, memory)
  expect(await deliveryStandings(set.db.pool)).toMatchObject([{ written: 1, aside: 0, due: 0, today: 2 }])
})
