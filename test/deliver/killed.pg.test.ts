import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryDelivery as delivery, Memory, setting, values } from './setting.ts'

test.each([
  ['writes what it is told', false],
  ['acts once on an id', true],
])('killed at any point, over any changes, a destination that %s ends with what is true', async (_, keepsIds) => {
  const to = delivery()
  await using set = await setting([to])
  const memory = new Memory(2, { keepsIds })
  const points = ['before-reserve', 'before-write', 'after-write', 'after-settle'] as const
  const step = fc.record({
    changes: fc.array(
      fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom('high', 'low'), fc.constantFrom(0.25, 0.5, 0.75)),
      {
        minLength: 1,
        maxLength: 4,
      },
    ),
    gone: fc.option(fc.integer({ min: 1, max: 4 })),
    killedAt: fc.option(fc.constantFrom(...points)),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
      for (const { changes, gone, killedAt } of steps) {
        await set.classify([...new Map(changes.map((change) => [change[0], change])).values()])
        if (gone !== null) await set.declassify(gone)
        const hit = (point: string) => {
          if (point === `deliver:${killedAt}`) throw new Error('killed')
        }
        await set.deliver(to, memory, { faults: { hit } }).catch((error: Error) => expect(error.message).toBe('killed'))
      }
      await set.deliver(to, memory)
      const { rows } = await set.db.query<{ key: string; label: string; probability: number }>(
        'select key, label, probability from rescore.classification order by key',
      )
      const wanted = Object.fromEntries(rows.map((row) => [row.key, values(row.label, row.probability)]))
      expect(Object.fromEntries(memory.rows)).toEqual(wanted)
    }),
    { numRuns: 40 },
  )
  const payloads = new Map<string, string>()
  for (const { id, key, values: sent, isGone } of memory.heard) {
    const payload = JSON.stringify([key, sent, isGone])
    expect(payloads.get(id) ?? payload).toBe(payload)
    payloads.set(id, payload)
  }
})
