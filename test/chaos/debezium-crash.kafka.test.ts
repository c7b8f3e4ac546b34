/**
 * kill -9 of Kafka Connect and of the broker at random moments under load, where a Debezium connector captures: whatever
 * the moments, what is stored afterwards equals a recompute from scratch, and no value ever went back.
 *
 * Only with RESCORE_FAULTS=all (npm run test:faults): a Connect worker takes seconds to come back each time.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { startWorker } from '../kafka/shared.ts'
import { BOTH, CONFIG, connected, makeTopics, setUp } from '../kafka/theirs.ts'
import { startBroker } from '../support/kafka/broker.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { PATIENCE_MS } from './kafka-cluster.ts'
import { SEED, say, WHOLE } from './kafka-faults.ts'
import { historyFaults } from './kafka-history.ts'
import { startLoad } from './load.ts'
import { calm, createChecker } from './running.ts'

const ROUNDS = 8
const VICTIMS = ['connect', 'broker', 'both'] as const

describeWithJava('where a Debezium connector captures', () => {
  test.runIf(WHOLE)(
    `killed at ${ROUNDS} random moments under load, everything ends up right`,
    {
      timeout: 180_000 + ROUNDS * (PATIENCE_MS + 30_000),
    },
    async () => {
      await using broker = await startBroker()
      await using setting = await setUp(broker.brokers)
      const { database, kafka, connect } = setting
      await makeTopics(kafka)
      await using _first = await startWorker(database, kafka, 'first', BOTH, CONFIG)
      await using _second = await startWorker(database, kafka, 'second', BOTH, CONFIG)
      await connected(setting)
      await calm(database)
      await using checker = await createChecker(CONFIG)
      const moment = fc.record({ afterMs: fc.integer({ min: 0, max: 4_000 }), victim: fc.constantFrom(...VICTIMS) })
      const moments = fc.sample(moment, { seed: SEED, numRuns: ROUNDS })
      say(`kills, seed ${SEED}: ${moments.map(({ victim, afterMs }) => `${victim} ${afterMs}`).join(', ')}`)
      for (const [round, { victim, afterMs }] of moments.entries()) {
        const load = startLoad(database, SEED + round)
        await sleep(afterMs)
        if (victim !== 'broker') await connect.kill()
        if (victim !== 'connect') {
          await broker.kill()
          await broker.start()
        }
        if (victim !== 'broker') await connect.start()
        await sleep(1_000)
        await load.stop()
        await calm(database)
        const { differences, entities } = await checker.check(database)
        expect(differences, `after ${victim} was killed, round ${round}`).toEqual([])
        expect(entities).toBeGreaterThan(10)
        expect(await historyFaults(database.pool)).toEqual([])
      }
    },
  )
})
