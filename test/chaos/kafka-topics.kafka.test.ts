/**
 * What befalls a group's offsets and the topics themselves while real processes share the work: offsets set back to zero
 * change nothing that is stored, and a topic deleted under their feet ends every process that has to do with it, with the
 * mend in its message, which mends it.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { withAdmin } from '../../src/log/kafka/admin.ts'
import { createKafka } from '../../src/log/kafka/client.ts'
import { groupId, topicName } from '../../src/log/kafka/topics.ts'
import { eventually } from '../support/eventually.ts'
import { describeWithJava } from '../support/kafka/kafka.ts'
import { CAPTURE, type Cluster, startCluster, WORKER } from './kafka-cluster.ts'
import { SEED, say } from './kafka-faults.ts'
import { startLoad } from './load.ts'
import { slotOf } from './running.ts'

const client = { log: { warn: () => undefined }, role: 'test' } as const
const PATIENT = { deadlineMs: 90_000 }
const PROGRAM = fileURLToPath(new URL('../../bin/rescore.js', import.meta.url))

interface Reset {
  readonly group: string
  readonly topic: string
  readonly partitions: readonly number[]
}

/** Every partition that a stage has a position in, by its group and topic. */
async function positionsOf({ place, settings }: Cluster): Promise<readonly Reset[]> {
  const { rows } = await place.pool.query<{ stage: string; topic: string; partitions: readonly number[] }>(
    `select stage, topic, array_agg(partition order by partition) as partitions
     from rescore.stage_position where topic <> '' group by 1, 2 order by 1, 2`,
  )
  return rows.map(({ stage, topic, partitions }) => ({ group: groupId(settings.prefix, stage), topic, partitions }))
}

const atZero = ({ partitions }: Reset) => partitions.map((partition) => ({ partition, offset: '0' }))

/** As an operator would. @throws kafkajs's own error while the group has members */
async function resetByAdmin(cluster: Cluster): Promise<void> {
  const resets = await positionsOf(cluster)
  await withAdmin(cluster.settings, client, 'setting offsets', async (admin) => {
    for (const reset of resets) {
      await admin.setOffsets({ groupId: reset.group, topic: reset.topic, partitions: atZero(reset) })
    }
  })
}

/** As a program that joins the group by mistake may: what a member commits, a broker takes, whoever reads the partition. */
async function resetByIntruder(cluster: Cluster): Promise<void> {
  const kafka = createKafka(cluster.settings, client)
  for (const [groupId, resets] of Map.groupBy(await positionsOf(cluster), ({ group }) => group)) {
    const intruder = kafka.consumer({ groupId, sessionTimeout: 6_000, maxWaitTimeInMs: 100 })
    const joined = new Promise<void>((resolve) => void intruder.on(intruder.events.GROUP_JOIN, () => resolve()))
    await intruder.connect()
    try {
      await intruder.subscribe({ topics: resets.map(({ topic }) => topic) })
      await intruder.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: async () => undefined })
      await joined
      const offsets = resets.flatMap((reset) => atZero(reset).map((at) => ({ ...at, topic: reset.topic })))
      await eventually(() => intruder.commitOffsets(offsets), PATIENT)
    } finally {
      await intruder.disconnect()
    }
  }
}

/** Every record that there is was read by the groups: they have committed the ends. */
async function readToTheEnds(cluster: Cluster): Promise<void> {
  const resets = await positionsOf(cluster)
  await withAdmin(cluster.settings, client, 'comparing offsets', async (admin) => {
    for (const { group, topic } of resets) {
      const ends = await admin.fetchTopicOffsets(topic)
      const filled = ends.filter(({ high }) => high !== '0').map(({ partition, high }) => ({ partition, offset: high }))
      const [found] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
      const committed = (found?.partitions ?? []).map(({ partition, offset }) => ({ partition, offset }))
      expect(committed, `${group} in ${topic}`).toEqual(expect.arrayContaining(filled))
    }
  })
}

/** Rows that say what was ever changed: one more for every effect. */
async function effects({ place }: Cluster): Promise<unknown> {
  const { rows } = await place.pool.query(
    `select (select count(*)::integer from rescore.feature_history) as features,
            (select count(*)::integer from rescore.classification_history) as classifications`,
  )
  return rows[0]
}

describeWithJava('under the feet of a shared service', () => {
  test('offsets of its groups set to zero, empty or alive: nothing counts twice, nothing is lost', {
    timeout: 420_000,
  }, async () => {
    await using cluster = await startCluster('offsets')
    cluster.start(CAPTURE)
    const workers = [cluster.start(WORKER), cluster.start(WORKER)]
    await Promise.all(workers.map((worker) => worker.running()))
    const first = startLoad(cluster.place, SEED)
    await sleep(2_000)
    await first.stop()
    await cluster.check('some load')
    await expect(resetByAdmin(cluster)).rejects.toThrow(/must have no running instances/)

    const before = await effects(cluster)
    for (const worker of workers) {
      worker.signal('SIGTERM')
      await worker.ended
    }
    await resetByAdmin(cluster)
    cluster.start(WORKER)
    cluster.start(WORKER)
    await eventually(() => readToTheEnds(cluster), PATIENT)
    await cluster.check('all offsets were set to zero while the groups were empty')
    expect(await effects(cluster)).toEqual(before)

    const load = startLoad(cluster.place, SEED + 1)
    await resetByIntruder(cluster)
    await load.stop()
    await cluster.check('a member set all offsets to zero under load')
  })

  test('a topic is deleted: every process ends and says what to do, and that mends it', {
    timeout: 420_000,
  }, async () => {
    await using cluster = await startCluster('deleted')
    const children = { capture: cluster.start(CAPTURE), first: cluster.start(WORKER), second: cluster.start(WORKER) }
    await Promise.all(Object.values(children).map((child) => child.running()))
    const load = startLoad(cluster.place, SEED)
    await sleep(1_500)
    const topic = topicName(cluster.settings.prefix, 'app.event')
    const deletedMs = performance.now()
    await withAdmin(cluster.settings, client, 'deleting a topic', (admin) => admin.deleteTopics({ topics: [topic] }))
    const told = await Promise.all(
      Object.entries(children).map(async ([who, child]) => {
        const { error } = await cluster.mayEnd(child)
        say(`${topic} deleted: ${who} ended after ${Math.round(performance.now() - deletedMs)} ms: ${error?.code}`)
        return error
      }),
    )
    await load.stop()
    for (const error of told) {
      expect(error?.code).toMatch(/^LOG_KAFKA_(TOPIC_LOST|UNKNOWN_TOPIC)$/)
      expect(error?.message).toContain(topic)
    }
    const again = cluster.start(WORKER)
    const { error } = await cluster.mayEnd(again)
    expect(error?.code).toBe('LOG_KAFKA_TOPIC_LOST')

    // What the message says.
    await promisify(execFile)(process.execPath, [PROGRAM, 'resync', '--yes'], {
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: cluster.place.url, RESCORE_SLOT: slotOf(cluster.place) },
    })
    cluster.start(CAPTURE)
    cluster.start(WORKER)
    cluster.start(WORKER)
    await cluster.check('a deleted topic and the resync')
    const more = startLoad(cluster.place, SEED + 1)
    await sleep(1_000)
    await more.stop()
    await cluster.check('load after the resync')
  })

  test('a topic is deleted and made anew while workers are away, and grows past where they were: refused', {
    timeout: 300_000,
  }, async () => {
    await using cluster = await startCluster('anew')
    const capture = cluster.start(CAPTURE)
    const worker = cluster.start(WORKER)
    await worker.running()
    await cluster.check('the start')
    worker.signal('SIGTERM')
    capture.signal('SIGTERM')
    await Promise.all([worker.ended, capture.ended])
    const topic = topicName(cluster.settings.prefix, 'app.company')
    await withAdmin(cluster.settings, client, 'making a topic anew', async (admin) => {
      const ends = await admin.fetchTopicOffsets(topic)
      await admin.deleteTopics({ topics: [topic] })
      await eventually(async () => expect(await admin.listTopics()).not.toContain(topic), PATIENT)
      await eventually(() => admin.createTopics({ topics: [{ topic, numPartitions: ends.length }] }), PATIENT)
      const producer = createKafka(cluster.settings, client).producer()
      await producer.connect()
      const messages = ends.flatMap(({ partition, high }) =>
        Array.from({ length: Number(high) + 1 }, () => ({ partition, value: null })),
      )
      await eventually(() => producer.send({ topic, messages }), PATIENT)
      await producer.disconnect()
    })
    for (const parts of [CAPTURE, WORKER]) {
      const { error } = await cluster.mayEnd(cluster.start(parts))
      expect(error?.code).toBe('LOG_TOPIC_REPLACED')
      expect(error?.message).toContain(topic)
    }
  })
})
