/** Sizes of pieces: by what entities cost, within bounds, and never down to what a transaction costs by itself. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pace, PIECE_MS } from './pace.ts'

function settled(msOf: (entities: number) => number, isBusy = false): number {
  const pace = new Pace()
  for (let piece = 0; piece < 60; piece += 1) pace.note(pace.size, msOf(pace.size), isBusy)
  return pace.size
}

test('pieces take what a change may wait, and a slow commit does not shrink them to nothing', () => {
  const msOf = (entities: number) => 1 + entities * 0.02
  expect(msOf(settled(msOf))).toBeCloseTo(PIECE_MS.alone, 0)
  expect(msOf(settled(msOf, true))).toBeCloseTo(PIECE_MS.busy, 0)
  expect(settled((entities) => 40 + entities * 0.05)).toBe(10)
  expect(settled(() => 0.01)).toBe(1_000)
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e4, noNaN: true })), (times) => {
      const pace = new Pace()
      for (const ms of times) {
        const before = pace.size
        pace.note(before, ms, false)
        expect(pace.size).toBeLessThanOrEqual(Math.min(1_000, Math.round(before * 1.5)))
        expect(pace.size).toBeGreaterThanOrEqual(Math.min(before, Math.max(10, Math.floor(before / 2))))
      }
    }),
  )
})
