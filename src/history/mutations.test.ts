/**
 * Chronon's cases of mutating rows, and Feast's of what is missing: what was known of a parent at any instant is what its
 * children were then. The oracle replays the children; the histories hold only values that moved.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type FeatureStep, Known } from './fold.ts'

const PARENTS = ['p', 'q'] as const
type Parent = (typeof PARENTS)[number]

interface Mutation {
  readonly child: string
  /** Null: the child is deleted. */
  readonly row: { readonly parent: Parent; readonly value: number } | null
  /** When it was committed; never after it was written down, in whatever order. */
  readonly validAt: number
  readonly recordedAt: number
}

type Children = ReadonlyMap<string, { readonly parent: Parent; readonly value: number }>

const sumOf = (children: Children, parent: Parent) =>
  [...children.values()].reduce((sum, row) => sum + (row.parent === parent ? row.value : 0), 0)

/** As recompute writes it: a parent has a row of history where its sum moved, and only there. */
function historiesOf(mutations: readonly Mutation[]): ReadonlyMap<Parent, readonly FeatureStep[]> {
  const step = (op: FeatureStep['op'], at: Pick<Mutation, 'validAt' | 'recordedAt'>, to: number): FeatureStep => ({
    op,
    changed: { sum: { to } },
    validAt: BigInt(at.validAt),
    recordedAt: BigInt(at.recordedAt),
  })
  const begin = { validAt: 0, recordedAt: 0 }
  const histories = new Map(PARENTS.map((parent) => [parent, [step('insert', begin, 0)]]))
  const children = new Map<string, { readonly parent: Parent; readonly value: number }>()
  for (const mutation of mutations) {
    const before = PARENTS.map((parent) => sumOf(children, parent))
    if (mutation.row === null) children.delete(mutation.child)
    else children.set(mutation.child, mutation.row)
    for (const [index, parent] of PARENTS.entries()) {
      const sum = sumOf(children, parent)
      if (sum !== before[index]) histories.get(parent)?.push(step('update', mutation, sum))
    }
  }
  return histories
}

function knownSums(mutations: readonly Mutation[], at: number): readonly unknown[] {
  const histories = historiesOf(mutations)
  return PARENTS.map((parent) => {
    const known = new Known(BigInt(at))
    for (const one of histories.get(parent) ?? []) known.add(one)
    return known.values.get('sum')?.value
  })
}

function oracle(mutations: readonly Mutation[], at: number): readonly number[] {
  const children = new Map<string, { readonly parent: Parent; readonly value: number }>()
  for (const { child, row, recordedAt } of mutations) {
    if (recordedAt > at) continue
    if (row === null) children.delete(child)
    else children.set(child, row)
  }
  return PARENTS.map((parent) => sumOf(children, parent))
}

const mutations: fc.Arbitrary<readonly Mutation[]> = fc
  .array(
    fc.record({
      child: fc.constantFrom('1', '2', '3'),
      row: fc.option(fc.record({ parent: fc.constantFrom(...PARENTS), value: fc.integer({ min: -9, max: 9 }) })),
      waited: fc.nat(3),
      lag: fc.nat(20),
    }),
    { maxLength: 20 },
  )
  .map((all) => {
    let clock = 1
    return all.map(({ child, row, waited, lag }) => {
      clock += waited
      return { child, row, validAt: Math.max(0, clock - lag), recordedAt: clock }
    })
  })

test('whatever children did (insert, value, parent, delete, back again, late), a parent is known as they were then', () => {
  fc.assert(
    fc.property(mutations, fc.nat(70), (all, at) => {
      expect(knownSums(all, at)).toEqual(oracle(all, at))
    }),
    { numRuns: 500 },
  )
})

const at = (time: number) => ({ validAt: time, recordedAt: time })
const CASES: readonly (readonly [string, readonly Mutation[], readonly (readonly [number, readonly number[]])[]])[] = [
  [
    'insert',
    [{ child: '1', row: { parent: 'p', value: 3 }, ...at(5) }],
    [
      [4, [0, 0]],
      [5, [3, 0]],
    ],
  ],
  [
    'value update',
    [
      { child: '1', row: { parent: 'p', value: 3 }, ...at(5) },
      { child: '1', row: { parent: 'p', value: 4 }, ...at(9) },
    ],
    [
      [8, [3, 0]],
      [9, [4, 0]],
    ],
  ],
  [
    'key update: the row moves to another parent',
    [
      { child: '1', row: { parent: 'p', value: 3 }, ...at(5) },
      { child: '1', row: { parent: 'q', value: 3 }, ...at(9) },
    ],
    [
      [8, [3, 0]],
      [9, [0, 3]],
    ],
  ],
  [
    'delete, and inserted again under the same key',
    [
      { child: '1', row: { parent: 'p', value: 3 }, ...at(5) },
      { child: '1', row: null, ...at(7) },
      { child: '1', row: { parent: 'p', value: 3 }, ...at(9) },
    ],
    [
      [6, [3, 0]],
      [8, [0, 0]],
      [9, [3, 0]],
    ],
  ],
  [
    'late correction: committed long ago, written down now',
    [
      { child: '1', row: { parent: 'p', value: 3 }, ...at(5) },
      { child: '1', row: { parent: 'p', value: 8 }, validAt: 6, recordedAt: 20 },
    ],
    [
      [6, [3, 0]],
      [19, [3, 0]],
      [20, [8, 0]],
    ],
  ],
  [
    'no expiry: what was said once holds',
    [{ child: '1', row: { parent: 'p', value: 3 }, ...at(5) }],
    [[9_999_999, [3, 0]]],
  ],
  ['parents do not borrow from each other', [{ child: '1', row: { parent: 'q', value: 3 }, ...at(5) }], [[9, [0, 3]]]],
]

test.each(CASES)('%s', (_, all, expected) => {
  for (const [time, sums] of expected) expect(knownSums(all, time)).toEqual(sums)
})
