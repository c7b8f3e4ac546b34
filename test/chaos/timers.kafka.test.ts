/** Two workers share timers over Kafka beside live load, and are killed. RESCORE_FAULTS=all: 20 times instead of 5. */
import { test } from 'vitest'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { timedConfig } from '../support/project-timed.ts'
import { CAPTURE, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, WHOLE } from './kafka-faults.ts'
import { createChecker } from './running.ts'
import { killWhileTimersFire } from './timer-kills.ts'

const KILLS = WHOLE ? 20 : 5

describeWithJava('timers of a shared service', () => {
  test(`whose workers are killed ${KILLS} times under load are neither lost nor doubled`, {
    timeout: 240_000 + KILLS * 40_000,
  }, async () => {
    await using cluster = await startCluster('timers')
    await using checker = await createChecker(timedConfig)
    const start = (parts: typeof WORKER) => cluster.start(parts, { project: 'timed' })
    await start(CAPTURE).running()
    const workers = [start(WORKER), start(WORKER)]
    await Promise.all(workers.map((worker) => worker.running()))
    await cluster.calm()
    const [first] = workers
    if (first === undefined) throw new Error('There are two workers.')
    await killWhileTimersFire(
      {
        place: cluster.place,
        checker,
        victim: (round) => workers[round % workers.length] ?? first,
        replace: async (round) => {
          const worker = start(WORKER)
          workers[round % workers.length] = worker
          await worker.running()
        },
        calm: () => cluster.calm(),
      },
      KILLS,
      SEED,
    )
  })
})
