/** How long a lane rests between turns while changes wait. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { restAfter } from './consume-lane.ts'

const ms = fc.double({ min: 0, max: 10_000, noNaN: true })

test('it takes at most every other moment, and changes that are late drive it back to a turn every quarter second', () => {
  fc.assert(
    fc.property(ms, ms, fc.option(ms), (rest, turn, waiting) => {
      const next = restAfter(rest, turn, waiting)
      expect(next).toBeLessThanOrEqual(250)
      expect(next).toBeGreaterThanOrEqual(Math.min(turn, 250))
    }),
  )
  let rest = 0
  for (let turns = 0; turns < 8; turns += 1) rest = restAfter(rest, 10, 1_000)
  expect(rest).toBe(250)
  for (let turns = 0; turns < 8; turns += 1) rest = restAfter(rest, 10, 20)
  expect(rest).toBe(10)
})
