import fc from 'fast-check'
import { expect, test } from 'vitest'
import { areVisible } from './visibility.ts'

const EPOCH = 2n ** 32n
const low = (full: bigint) => Number(full % EPOCH)

test.each<[string, string, number, boolean]>([
  ['before the snapshot', '100:200:', 99, true],
  ['between, and ended', '100:200:150', 149, true],
  ['between, and still in progress', '100:200:150,151', 151, false],
  ['after the snapshot', '100:200:', 200, false],
  ['in a later epoch, before', `${3n * EPOCH + 100n}:${3n * EPOCH + 200n}:`, 99, true],
  ['in a later epoch, in progress', `${3n * EPOCH + 100n}:${3n * EPOCH + 200n}:${3n * EPOCH + 150n}`, 150, false],
  ['of the epoch before a snapshot just after the wrap', `${EPOCH + 3n}:${EPOCH + 9n}:`, 4_294_967_290, true],
  ['of the epoch before, still in progress', `${EPOCH - 6n}:${EPOCH + 9n}:${EPOCH - 6n}`, 4_294_967_290, false],
  ['just after the wrap, where the snapshot is just before it', `${EPOCH - 9n}:${EPOCH - 2n}:`, 5, false],
])('a transaction %s', (_where, snapshot, xid, expected) => {
  expect(areVisible(snapshot, [xid])).toBe(expected)
})

test('one transaction that is not visible is enough to wait, and none at all is no reason to', () => {
  expect(areVisible('100:200:150', [99, 149])).toBe(true)
  expect(areVisible('100:200:150', [99, 150, 149])).toBe(false)
  expect(areVisible('100:200:150', [])).toBe(true)
})

test('32 bits are enough at any epoch, for every id within half a round of the snapshot', () => {
  const distance = fc.bigInt({ min: -(2n ** 31n) + 1n, max: 2n ** 31n - 1n })
  fc.assert(
    fc.property(fc.bigInt({ min: 2n ** 33n, max: 2n ** 60n }), distance, fc.nat(1_000), (xmax, away, width) => {
      const full = xmax + away
      const xmin = xmax - BigInt(width)
      const running = full >= xmin && full < xmax && full % 2n === 0n ? `${full}` : ''
      expect(areVisible(`${xmin}:${xmax}:${running}`, [low(full)])).toBe(full < xmax && running === '')
    }),
  )
})
