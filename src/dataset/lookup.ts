/**
 * What was known of a piece of the list: for each row its entity, at its own time.
 * Invariant: one statement for the piece; every row is folded by itself, so no row borrows from another, not even of the
 * same entity.
 */
import type { Pool } from '../db/pool.ts'
import { Known, knownFrom } from '../history/fold.ts'
import type { Instant } from '../history/instant.ts'
import { readSteps } from '../history/read.ts'
import type { Label } from './labels.ts'

export interface Newest {
  readonly recordedAt: Instant
  readonly snapLsn: bigint
}

export interface LookedUp {
  /** In the order of the labels. */
  readonly known: readonly Known[]
  /** Newest row any of it is from. */
  readonly newest: Newest | null
}

export function newer(a: Newest | null, b: Newest | null): Newest | null {
  if (a === null || b === null) return a ?? b
  if (a.recordedAt !== b.recordedAt) return a.recordedAt > b.recordedAt ? a : b
  return a.snapLsn > b.snapLsn ? a : b
}

function later(a: Instant, b: Instant): Instant {
  if (a > b) return a
  return b
}

/** @param labels at least one */
export async function lookUp(pool: Pool, entity: string, labels: readonly Label[]): Promise<LookedUp> {
  const known = labels.map(({ at }) => new Known(at))
  const byKey = Map.groupBy(labels.keys(), (index) => labels[index]?.key ?? '')
  const until = labels.map(({ at }) => at).reduce(later)
  let newest: Newest | null = null
  await readSteps(pool, { entity, keys: [...byKey.keys()], until }, (step) => {
    const from = knownFrom(step)
    for (const index of byKey.get(step.key) ?? []) {
      const one = known[index]
      if (one === undefined || from > one.at) continue
      one.add(step)
      newest = newer(newest, step)
    }
  })
  return { known, newest }
}
