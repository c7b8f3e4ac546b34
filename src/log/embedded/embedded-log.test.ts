import fc from 'fast-check'
import { expect, test } from 'vitest'
import { piece } from '../../../test/support/log-chunks.ts'
import { describeLogContract } from '../../../test/support/log-contract.ts'
import { START } from '../position.ts'
import { EmbeddedLog } from './embedded-log.ts'
import { Fifo } from './fifo.ts'
import { Waiters } from './waiters.ts'

describeLogContract('embedded', (options) =>
  Promise.resolve({ log: new EmbeddedLog(options), [Symbol.asyncDispose]: () => Promise.resolve() }),
)

test('a stage that is not registered is refused, because nothing would wait for it', async () => {
  const log = new EmbeddedLog({ stages: new Map([['a', START]]) })
  expect(() => log.acknowledge('b', START)).toThrow(/'b' is not registered/)
})

test('a queue gives back what was put in, whatever is taken between', () => {
  const step = fc.oneof(fc.record({ push: fc.integer({ min: 1, max: 2_000 }) }), fc.record({ drop: fc.nat(2_500) }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const fifo = new Fifo<number>()
      let model: number[] = []
      let following = 0
      for (const each of steps) {
        if ('push' in each) {
          for (let count = 0; count < each.push; count += 1) {
            fifo.push(following)
            model.push(following)
            following += 1
          }
        } else {
          fifo.drop(each.drop)
          model = model.slice(each.drop)
        }
        expect(fifo.length).toBe(model.length)
        expect(fifo.at(0)).toBe(model[0])
        expect(fifo.slice(3, 5)).toEqual(model.slice(3, 8))
      }
    }),
    { numRuns: 50 },
  )
})

test('waits that ended by time leave nothing behind: an idle service waits for weeks', async () => {
  const waiters = new Waiters()
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 50 }, () => waiters.next(signal, 1)))
  expect(waiters.size).toBe(0)
  const ending = new AbortController()
  const waiting = waiters.next(ending.signal)
  expect(waiters.size).toBe(1)
  ending.abort(new Error('stop'))
  await expect(waiting).rejects.toThrow('stop')
  expect(waiters.size).toBe(0)
})

test('a transaction of any size passes in bounded memory when its stages keep up', async () => {
  const log = new EmbeddedLog({ stages: new Map([['a', START]]), maxBytes: 10_000 })
  const { signal } = new AbortController()
  let most = 0
  const writing = (async () => {
    for (let from = 0; from < 20_000; from += 10) await log.append(piece(100, [from, from + 10], false), signal)
    await log.append(piece(100, [20_000, 20_001], true), signal)
  })()
  for (let seen = 0; seen < 20_001; ) {
    const batch = await log.next('a', { maxEntries: 50, waitMs: 10_000, signal })
    most = Math.max(most, log.backlog('a'))
    seen += batch?.entries.length ?? 0
    log.acknowledge('a', batch?.end ?? START)
  }
  await writing
  expect(most).toBeLessThanOrEqual(100)
  expect(log.isIdle()).toBe(true)
})
