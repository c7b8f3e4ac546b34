/**
 * Workers added and removed under load, from one to four and down to two, told to end and killed: nothing is lost in
 * between, and those that are left have everything.
 *
 * RESCORE_FAULTS=all: five times instead of once.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, say, WHOLE } from './kafka-faults.ts'
import { startLoad } from './load.ts'

const ROUNDS = WHOLE ? 5 : 1
const MOST = 4

describeWithJava('workers', () => {
  test('come and go under load, 1, 4, 2, and every value is right', {
    timeout: 120_000 + ROUNDS * 240_000,
  }, async () => {
    await using cluster = await startCluster('scale')
    const capture = cluster.start(CAPTURE)
    let workers = [cluster.start(WORKER)]
    await Promise.all([capture, ...workers].map((child) => child.running()))
    const pauses = fc.sample(fc.integer({ min: 0, max: 2_000 }), { seed: SEED, numRuns: ROUNDS * 4 })
    say(`pauses, seed ${SEED}: ${pauses.join(', ')}`)
    for (let round = 0; round < ROUNDS; round += 1) {
      const load = startLoad(cluster.place, SEED + round)
      while (workers.length < MOST) {
        workers.push(cluster.start(WORKER))
        await sleep(pauses[round * 4] ?? 0)
      }
      const added = new Date()
      await eventually(
        async () => {
          const worked = await Promise.all(workers.map((worker) => cluster.hasWorked(worker, added)))
          expect(worked).toEqual(workers.map(() => true))
        },
        { deadlineMs: 90_000 },
      )
      await load.stop()
      await cluster.check(`workers were added, round ${round}`)
      const again = startLoad(cluster.place, 100 + SEED + round)
      const [killed, told, ...left] = workers
      await sleep(pauses[round * 4 + 1] ?? 0)
      killed?.signal('SIGKILL')
      await sleep(pauses[round * 4 + 2] ?? 0)
      told?.signal('SIGTERM')
      expect(await told?.ended).toEqual({ signal: null, error: null })
      await sleep(pauses[round * 4 + 3] ?? 0)
      await again.stop()
      await cluster.check(`workers were removed, round ${round}`)
      workers = left
    }
  })
})
