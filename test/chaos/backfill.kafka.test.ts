/** Two workers share backfills over Kafka beside live load, and are killed. RESCORE_FAULTS=all: 30 times instead of 5. */
import { test } from 'vitest'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { fillCompanies, killInBackfills } from './backfill-kills.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, WHOLE } from './kafka-faults.ts'
import { killInSilence } from './silent-kills.ts'

const KILLS = WHOLE ? 30 : 5

describeWithJava('backfills of a shared service', () => {
  test(`whose workers are killed ${KILLS} times under load skip and double nothing`, {
    timeout: 240_000 + KILLS * 40_000,
  }, async () => {
    await using cluster = await startCluster('backfills')
    await fillCompanies(cluster.place)
    await cluster.start(CAPTURE).running()
    const workers = [cluster.start(WORKER), cluster.start(WORKER)]
    await Promise.all(workers.map((worker) => worker.running()))
    await cluster.calm()
    await killInBackfills(
      {
        place: cluster.place,
        kill: async (round) => {
          const at = round % workers.length
          workers[at]?.signal('SIGKILL')
          await workers[at]?.ended
          workers[at] = cluster.start(WORKER)
        },
        check: (after) => cluster.check(after),
      },
      KILLS,
      SEED,
    )
  })

  test(`that are silent score what changed and nothing else, their workers killed ${KILLS} times`, {
    timeout: 240_000 + KILLS * 20_000,
  }, async () => {
    await using cluster = await startCluster('silence')
    await fillCompanies(cluster.place)
    const capture = cluster.start(CAPTURE)
    await capture.running()
    const variables = { RESCORE_TEST_RELEASE: '2' }
    const workers = [cluster.start(WORKER), cluster.start(WORKER)]
    await Promise.all(workers.map((worker) => worker.running()))
    await cluster.calm()
    const kill = async (round: number) => {
      const at = round % workers.length
      workers[at]?.signal('SIGKILL')
      await workers[at]?.ended
      workers[at] = cluster.start(WORKER, { variables })
    }
    const release = async () => {
      for (const at of workers.keys()) await kill(at)
      await Promise.all(workers.map((worker) => worker.running()))
      // It steps aside for the newer definitions like any process of the older release.
      capture.signal('SIGKILL')
      await capture.ended
      await cluster.start(CAPTURE, { variables }).running()
    }
    await killInSilence({ place: cluster.place, release, kill, calm: () => cluster.calm() }, KILLS, SEED)
  })
})
