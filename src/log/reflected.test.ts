import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Batch } from './log.ts'
import { END_OF_TRANSACTION, START } from './position.ts'
import { ReflectedPosition } from './reflected.ts'

/** One whole transaction that changed a source table. */
const committed = (lsn: bigint): Batch => ({
  entries: [
    {
      kind: 'change',
      position: { lsn, index: 0 },
      xid: 1,
      committedAtMs: Number(lsn),
      table: 'app.things',
      op: 'insert',
      before: null,
      after: {},
      changed: null,
    },
  ],
  end: { lsn, index: END_OF_TRANSACTION },
  committedAtMs: Number(lsn),
  xids: [1],
})

/** Applies a batch the way the runner does. @returns what is said from then on */
function apply(reflected: ReflectedPosition, lsn: bigint, beyondLsn = 0n): bigint {
  const outlook = reflected.after(committed(lsn), beyondLsn)
  reflected.settle(outlook)
  reflected.written(reflected.news(outlook))
  return outlook.reflected?.lsn ?? 0n
}

test('what was followed in a newer snapshot is said once the stage has passed that snapshot', () => {
  const reflected = new ReflectedPosition(null)
  expect(apply(reflected, 10n, 25n)).toBe(0n)
  expect(apply(reflected, 20n)).toBe(0n)
  expect(apply(reflected, 26n)).toBe(26n)
})

test('under steady load the position follows one snapshot behind', () => {
  const reflected = new ReflectedPosition(null)
  expect([10n, 20n, 30n, 40n].map((lsn) => apply(reflected, lsn, lsn + 5n))).toEqual([0n, 10n, 20n, 30n])
})

test('nothing is ever said before everything its snapshot held has been handled, and all is said in the end', () => {
  const step = fc.record({ by: fc.bigInt(1n, 20n), beyond: fc.option(fc.bigInt(0n, 60n)) })
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
      const reflected = new ReflectedPosition(null)
      const snapshots: { lsn: bigint; untilLsn: bigint }[] = []
      let lsn = 0n
      let last = 0n
      for (const { by, beyond } of steps) {
        lsn += by
        const untilLsn = beyond === null ? lsn : lsn + beyond
        snapshots.push({ lsn, untilLsn })
        const said = apply(reflected, lsn, beyond === null ? 0n : untilLsn)
        for (const one of snapshots) if (one.lsn <= said) expect(one.untilLsn).toBeLessThanOrEqual(lsn)
        expect(said).toBeGreaterThanOrEqual(last)
        last = said
      }
      // The barrier behind everything.
      const end = lsn + 100n
      expect(apply(reflected, end)).toBe(end)
    }),
  )
})

test('a start vouches again for what was said, and withholds what was not', () => {
  const position = { lsn: 30n, index: END_OF_TRANSACTION }
  const said = new ReflectedPosition(null)
  said.restore({ position, reflectedLsn: 30n }, 0n)
  expect(said.settled.reflected?.lsn).toBe(30n)
  const unsaid = new ReflectedPosition(null)
  unsaid.restore({ position, reflectedLsn: 20n }, 50n)
  expect(unsaid.settled.reflected).toBeNull()
  expect(apply(unsaid, 40n)).toBe(0n)
  expect(apply(unsaid, 51n)).toBe(51n)
  const fresh = new ReflectedPosition(null)
  fresh.restore({ position: START, reflectedLsn: 0n }, 0n)
  expect(fresh.settled.reflected).toBeNull()
})
