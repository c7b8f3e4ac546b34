/**
 * Workers that stand still (SIGSTOP) under load while others go on, and wake up after others have taken what was theirs:
 * what they still have in hand harms nothing, and they are of use again.
 *
 * RESCORE_FAULTS=all: each stands still for 40 s, in every place.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, SESSION_TIMEOUT_MS, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, WHOLE } from './kafka-faults.ts'
import { startLoad } from './load.ts'

const STILL_MS = WHOLE ? 40_000 : 3 * SESSION_TIMEOUT_MS
/** Null: wherever it is. Before applying it holds nothing but a snapshot; before the commit, keys that others wait for. */
const PLACES = WHOLE
  ? [null, 'recompute:before-apply', 'score:before-apply', 'recompute:before-commit', 'score:before-commit']
  : [null, 'recompute:before-apply']

describeWithJava('a worker that stands still', () => {
  test(`for ${STILL_MS / 1_000} s under load is done without, and harms nothing when it wakes up`, {
    timeout: 120_000 + PLACES.length * 180_000,
  }, async () => {
    await using cluster = await startCluster('still')
    const capture = cluster.start(CAPTURE)
    const [zombie, other] = [cluster.start(WORKER), cluster.start(WORKER)]
    await Promise.all([capture, zombie, other].map((child) => child.running()))
    for (const [index, place] of PLACES.entries()) {
      const at = place ?? 'any moment'
      const load = startLoad(cluster.place, SEED + index)
      const begun = new Date()
      await eventually(async () => expect(await cluster.hasWorked(zombie, begun)).toBe(true), { deadlineMs: 60_000 })
      if (place !== null) await zombie.holdAt(place)
      zombie.signal('SIGSTOP')
      await sleep(STILL_MS)
      await load.stop()
      // What it had read and not handled is done by the other one, and so is what only one of them may do.
      await cluster.check(`a worker stood still at ${at}`)
      const woken = new Date()
      const again = startLoad(cluster.place, 100 + SEED + index)
      if (place !== null) zombie.letGo(place)
      zombie.signal('SIGCONT')
      await eventually(async () => expect(await cluster.hasWorked(zombie, woken)).toBe(true), { deadlineMs: 60_000 })
      await again.stop()
      await cluster.check(`a worker woke up at ${at}`)
    }
    for (const child of [zombie, other, capture]) {
      child.signal('SIGTERM')
      expect(await child.ended).toEqual({ signal: null, error: null })
    }
  })
})
