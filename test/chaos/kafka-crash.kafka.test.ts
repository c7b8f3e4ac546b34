/**
 * kill -9 of capture, of workers and of the broker, at random moments under load: whatever the moments, what is stored
 * afterwards equals a recompute from scratch, and no value ever went back.
 *
 * RESCORE_FAULTS=all (npm run test:faults): 50 moments instead of 8. RESCORE_FAULT_SEED sets the moments, which are
 * printed, as is the seed.
 */
import fc from 'fast-check'
import { test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, say, WHOLE } from './kafka-faults.ts'
import { startLoad } from './load.ts'

const MOMENTS = WHOLE ? 50 : 8
/** A check after so many. */
const AT_ONCE = WHOLE ? 5 : 4
const VICTIMS = ['capture', 'broker', 'first worker', 'second worker'] as const

/** Each victim in turn, in an order of the seed; from right after the last restart to well into the work. */
function momentsOf(seed: number) {
  const moment = fc.record({ rank: fc.nat(), afterMs: fc.integer({ min: 0, max: 2_500 }) })
  return fc
    .sample(moment, { seed, numRuns: MOMENTS })
    .map(({ rank, afterMs }, at) => ({ rank, afterMs, round: Math.floor(at / VICTIMS.length), who: VICTIMS[at % 4] }))
    .sort((a, b) => a.round - b.round || a.rank - b.rank)
}

describeWithJava('processes of a shared service', () => {
  test(`killed at ${MOMENTS} random moments under load, they end up right`, {
    timeout: 180_000 + MOMENTS * 40_000,
  }, async () => {
    await using cluster = await startCluster('crash')
    const start = {
      capture: () => cluster.start(CAPTURE),
      'first worker': () => cluster.start(WORKER),
      'second worker': () => cluster.start(WORKER),
    }
    const alive = {
      capture: start.capture(),
      'first worker': start['first worker'](),
      'second worker': start['second worker'](),
    }
    await Promise.all(Object.values(alive).map((child) => child.running()))
    const moments = momentsOf(SEED)
    say(`kills, seed ${SEED}: ${moments.map(({ who, afterMs }) => `${who} ${afterMs}`).join(', ')}`)
    for (let from = 0; from < MOMENTS; from += AT_ONCE) {
      const load = startLoad(cluster.place, SEED + from)
      for (const { who, afterMs } of moments.slice(from, from + AT_ONCE)) {
        await sleep(afterMs)
        if (who === undefined) continue
        if (who === 'broker') {
          await cluster.broker.kill()
          await cluster.broker.start()
        } else {
          alive[who].signal('SIGKILL')
          await alive[who].ended
          alive[who] = start[who]()
        }
      }
      await load.stop()
      await cluster.check(`${from + AT_ONCE} kills of seed ${SEED}`)
    }
  })
})
