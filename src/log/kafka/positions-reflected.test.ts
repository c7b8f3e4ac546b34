import { expect, test } from 'vitest'
import type { PartitionReflected } from './positions.ts'
import { hopContent, leastOf, readHop } from './positions-reflected.ts'

function partition(reflectedLsn: bigint, ...withheld: readonly (readonly [bigint, bigint])[]): PartitionReflected {
  return {
    source: { topic: 't', partition: 0 },
    position: { lsn: reflectedLsn + 1n, index: 0 },
    nextOffset: 1n,
    beginOffset: 0n,
    reflectedLsn,
    reflectedAtMs: Number(reflectedLsn),
    withheld: withheld.map(([fromLsn, untilLsn]) => ({ fromLsn, untilLsn })),
  }
}

test('the whole vouches for the least of its partitions, and without partitions for nothing', () => {
  expect(leastOf([])).toMatchObject({ handledLsn: 0n, reflected: { lsn: 0n } })
  expect(leastOf([partition(300n), partition(100n), partition(200n)])).toEqual({
    handledLsn: 100n,
    reflected: { lsn: 100n, atMs: 100 },
  })
})

test('what one partition withheld counts only once every partition has passed the snapshot it looked into', () => {
  const child = partition(500n, [200n, 400n])
  expect(leastOf([child, partition(399n)])).toMatchObject({ handledLsn: 399n, reflected: { lsn: 199n } })
  expect(leastOf([child, partition(400n)])).toMatchObject({ handledLsn: 400n, reflected: { lsn: 400n } })
  // Everything said is before what is withheld.
  expect(leastOf([child, partition(150n)])).toMatchObject({ reflected: { lsn: 150n } })
})

test('of several withheld the first that is not passed decides', () => {
  const many = partition(900n, [100n, 300n], [400n, 700n], [800n, 1_000n])
  expect(leastOf([many])).toMatchObject({ reflected: { lsn: 799n } })
  expect(leastOf([many, partition(650n)])).toMatchObject({ reflected: { lsn: 399n } })
})

test('a hop says which stage vouches for what; other barriers are somebody waiting', () => {
  const reflected = { lsn: 0x16b374d848n, atMs: 1_750_000_000_000.125 }
  expect(readHop(hopContent('recompute', reflected))).toEqual({ stage: 'recompute', reflected })
  for (const content of ['', 'settle recompute', '4f1c', 'hop recompute']) expect(readHop(content)).toBeNull()
})
