/** Folding at any cut, any number of times, against the fold of all rows: nobody who asks later can tell the difference. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { FeatureValue } from '../define/index.ts'
import { type Base, BaseFold, type StoredStep, stepsOf } from './base.ts'
import { Known } from './fold.ts'

interface Said {
  readonly isEnd: boolean
  readonly validAt: number
  readonly recordedAt: number
  readonly values: Readonly<Record<string, FeatureValue>>
}

/** Days. Neither time need ever go forward: clocks jump, and corrections come late or ahead of their time. */
const day = fc.integer({ min: 0, max: 12 })
const said: fc.Arbitrary<Said[]> = fc.array(
  fc.record({
    isEnd: fc.boolean(),
    validAt: day,
    recordedAt: day,
    values: fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.oneof(fc.integer(), fc.constant(null), fc.string()), {
      minKeys: 1,
    }),
  }),
  { maxLength: 14 },
)

/** As a key's history is written: begun by an insert, ended by a deletion, and perhaps begun anew. */
function written(all: readonly Said[]): readonly StoredStep[] {
  let isThere = false
  return all.map(({ isEnd, validAt, recordedAt, values }, index) => {
    const op = isThere ? (isEnd && index % 3 === 0 ? 'delete' : 'update') : 'insert'
    isThere = op !== 'delete'
    return {
      id: BigInt(index + 1),
      op,
      changed: op === 'delete' ? null : Object.fromEntries(Object.entries(values).map(([name, to]) => [name, { to }])),
      validAt: BigInt(validAt) * 1_000_000n,
      recordedAt: BigInt(recordedAt) * 1_000_000n,
      epoch: 1,
      snapLsn: BigInt(index),
    }
  })
}

interface Kept {
  readonly base: Base | null
  readonly rows: readonly StoredStep[]
}

const told = ({ base, rows }: Kept): readonly StoredStep[] => {
  const { id = 0n, epoch = 1, snapLsn = 0n } = base ?? {}
  return [...stepsOf(base?.steps ?? []).map((step) => ({ ...step, id, epoch, snapLsn })), ...rows]
}

/** As fold-pieces.ts does it of one key. */
function foldAt(before: Kept, cut: bigint, isBlind: boolean): Kept {
  const later = before.rows.find(({ recordedAt }) => recordedAt >= cut)
  const fold = new BaseFold(cut, isBlind ? null : (later?.id ?? null))
  for (const step of told(before)) if (step.recordedAt < cut) fold.add(step)
  const { upTo } = fold
  if (upTo === null) return before
  return {
    base: fold.result('1'),
    rows: before.rows.filter(({ id, recordedAt }) => id > upTo || recordedAt >= cut),
  }
}

function knownAt(steps: readonly StoredStep[], at: bigint) {
  const known = new Known(at)
  for (const step of steps) known.add(step)
  return {
    exists: known.exists,
    values: [...known.values].sort(([a], [b]) => (a < b ? -1 : 1)),
    recordedAt: known.recordedAt,
  }
}

const sameAfterwards = (isBlind = false) =>
  fc.property(said, fc.array(day, { minLength: 1, maxLength: 3 }), (all, days) => {
    const rows = written(all)
    let kept: Kept = { base: null, rows }
    for (const cut of days.toSorted((a, b) => a - b).map((one) => BigInt(one) * 1_000_000n)) {
      kept = foldAt(kept, cut, isBlind)
      for (let at = cut; at <= 13_000_000n; at += 500_000n) {
        const before = knownAt(rows, at)
        const after = knownAt(told(kept), at)
        expect([after.exists, after.values]).toEqual([before.exists, before.values])
        if (kept.base !== null) expect(after.recordedAt).toBe(before.recordedAt)
      }
    }
  })

test('at any instant from the cut on, what is kept tells the same as all rows did, times included', () => {
  fc.assert(sameAfterwards(), { numRuns: 400 })
})

test('a fold that does not stop at what was written between is caught', () => {
  expect(fc.check(sameAfterwards(true), { numRuns: 2_000 }).failed).toBe(true)
})

test('a base holds no value that was said anew, and no entity that was deleted', () => {
  const rows = written([
    { isEnd: false, validAt: 1, recordedAt: 1, values: { a: 1, b: 1 } },
    { isEnd: false, validAt: 2, recordedAt: 2, values: { a: 2 } },
    { isEnd: false, validAt: 3, recordedAt: 3, values: { a: 3 } },
  ])
  const { base } = foldAt({ base: null, rows }, 9_000_000n, false)
  expect(base?.steps).toEqual([
    {
      op: 'insert',
      valid_at: '1970-01-01T00:00:01.000000Z',
      recorded_at: '1970-01-01T00:00:01.000000Z',
      values: { b: 1 },
    },
    {
      op: 'update',
      valid_at: '1970-01-01T00:00:03.000000Z',
      recorded_at: '1970-01-01T00:00:03.000000Z',
      values: { a: 3 },
    },
  ])
  const gone = written([
    { isEnd: false, validAt: 1, recordedAt: 1, values: { a: 1 } },
    { isEnd: false, validAt: 1, recordedAt: 1, values: { a: 1 } },
    { isEnd: false, validAt: 1, recordedAt: 1, values: { a: 1 } },
    { isEnd: true, validAt: 2, recordedAt: 2, values: {} },
  ])
  expect(gone.at(-1)?.op).toBe('delete')
  expect(foldAt({ base: null, rows: gone }, 9_000_000n, false)).toEqual({ base: null, rows: [] })
})
