/**
 * Source change → features → classification where a real Debezium connector captures, in a real Kafka Connect worker:
 * what is there before it, what is written while it is away, and what is vouched for.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { parseLsn } from '../../src/db/lsn.ts'
import { type Faults, plant } from '../../src/faults.ts'
import { createKafka } from '../../src/log/kafka/client.ts'
import { type ConnectorOffset, followConnectorOffsets } from '../../src/log/kafka/connect-offsets.ts'
import { emitBarrier } from '../../src/log/stage-position.ts'
import type { Problem } from '../../src/observe/doctor.ts'
import { examineDebezium } from '../../src/observe/doctor-debezium.ts'
import { examineKafka } from '../../src/observe/doctor-kafka.ts'
import { historyFaults } from '../chaos/kafka-history.ts'
import { startLoad } from '../chaos/load.ts'
import { calm, createChecker, slotOf } from '../chaos/running.ts'
import { eventually } from '../support/eventually.ts'
import { describeKafka } from '../support/kafka/kafka.ts'
import type { TestDatabase } from '../support/pg.ts'
import { startWorker } from './shared.ts'
import { BOTH, CONFIG, client, connected, makeTopics, type Setting, setUp, TABLES } from './theirs.ts'

async function examine({ database, kafka }: Setting): Promise<readonly Problem[]> {
  const { signal } = new AbortController()
  const shared = { pool: database.pool, settings: kafka, tables: TABLES, signal }
  return [
    ...(await examineDebezium({ ...shared, slot: slotOf(database), publication: 'chaos' })),
    ...(await examineKafka({ ...shared, stages: BOTH, writer: 'debezium' })),
  ]
}

async function reflectedBy({ pool }: TestDatabase, stage: string): Promise<bigint> {
  const { rows } = await pool.query<{ lsn: string }>(
    `select reflected_lsn::text as lsn from rescore.stage_position where stage = $1 and topic = ''`,
    [stage],
  )
  return parseLsn(rows[0]?.lsn ?? '0/0')
}

describeKafka('topics of a Debezium connector', ({ brokers, version }) => {
  test.skipIf(version !== '4.4.0')(
    'are read to the end with every value right, over a kill of Connect',
    {
      timeout: 300_000,
    },
    async () => {
      await using setting = await setUp(brokers)
      const { database, kafka, connect } = setting
      await using checker = await createChecker()
      await expect(startWorker(database, kafka, 'none', BOTH, CONFIG)).rejects.toMatchObject({
        code: 'LOG_CONNECT_TOPICS',
      })
      await makeTopics(kafka)
      await using first = await startWorker(database, kafka, 'first', BOTH, CONFIG)
      const missing = ['debezium slot', 'debezium tables', 'debezium offsets', 'debezium settings']
      await eventually(async () => {
        expect((await examine(setting)).map(({ check }) => check)).toEqual([...missing, 'kafka groups', 'kafka groups'])
      })
      // Until the connector's slot there is no record of what is written: only the sweep sees it.
      const before = startLoad(database, 21)
      await connected(setting)
      await before.stop()
      await calm(database)
      expect((await checker.check(database)).differences).toEqual([])
      const during = startLoad(database, 22)
      await using second = await startWorker(database, kafka, 'second', BOTH, CONFIG)
      await sleep(2_000)
      await connect.kill()
      await sleep(1_000)
      await connect.start()
      await sleep(2_000)
      await during.stop()
      await calm(database)
      expect(await examine(setting)).toEqual([])
      const { differences, entities, classifications } = await checker.check(database)
      expect(differences).toEqual([])
      expect([entities, classifications].map((count) => count > 10)).toEqual([true, true])
      expect(await historyFaults(database.pool)).toEqual([])
      expect([...first.failures, ...second.failures]).toEqual([])
      const { rows } = await database.query('select slot_name from pg_replication_slots where database = $1', [
        database.name,
      ])
      expect(rows).toEqual([{ slot_name: slotOf(database) }])
    },
  )

  test.skipIf(version !== '4.4.0')(
    'vouch for nothing that a worker still has in hand, but with the planted bug',
    {
      timeout: 300_000,
    },
    async () => {
      await using setting = await setUp(brokers)
      const { database, kafka } = setting
      await makeTopics(kafka)
      let held: PromiseWithResolvers<void> | null = null
      const faults: Faults = { hit: (point) => (point === 'recompute:before-apply' ? held?.promise : undefined) }
      await using _worker = await startWorker(database, kafka, 'worker', BOTH, CONFIG, faults)
      await connected(setting)
      await using checker = await createChecker()
      const stored: ConnectorOffset[] = []
      const ending = new AbortController()
      const onOffset = (offset: ConnectorOffset) => void stored.push(offset)
      const options = { kafka: createKafka(kafka, client), prefix: kafka.prefix, connect: kafka.connect, onOffset }
      const following = followConnectorOffsets({ ...options, onError: () => undefined }, ending.signal)
      const behind = (target: bigint) =>
        stored.filter(({ commitLsn }) => commitLsn !== null && commitLsn > target).length
      for (const isBroken of [false, true]) {
        await calm(database)
        using _bug = isBroken ? plant('ends-of-before') : null
        held = Promise.withResolvers<void>()
        await database.query('update app.company set employees = employees + 1')
        const target = await emitBarrier(database.pool, 'test')
        if (isBroken) {
          await eventually(async () => expect(await reflectedBy(database, 'recompute')).toBeGreaterThan(target), {
            deadlineMs: 60_000,
          })
        } else {
          // Connect says that the connector has passed it, again and again.
          await eventually(() => expect(behind(target)).toBeGreaterThan(4), { deadlineMs: 60_000 })
          expect(await reflectedBy(database, 'recompute')).toBeLessThan(target)
        }
        held.resolve()
        held = null
      }
      ending.abort()
      await following
      await calm(database)
      expect((await checker.check(database)).differences).toEqual([])
    },
  )
})
