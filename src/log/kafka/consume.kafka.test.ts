/** Members of a group on a real broker and a real PostgreSQL: who reads what, from where, and how often it counts. */
import type { Kafka } from 'kafkajs'
import { expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { describeKafka, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { barrierRecord, type MadeRecord, rowRecord } from '../../../test/support/kafka/records.ts'
import type { TestDatabase } from '../../../test/support/pg.ts'
import { applied, copying, NAME, prepared } from '../../../test/support/stage.ts'
import type { Entry } from '../log.ts'
import type { Stage, StageEvent } from '../stage.ts'
import { createKafka, DefaultPartitioner } from './client.ts'
import { openKafkaStage } from './consume-stage.ts'
import { ensureTopics } from './topics-admin.ts'

const silent = { warn: () => undefined }

interface Setting extends AsyncDisposable {
  readonly db: TestDatabase
  readonly kafka: Kafka
  readonly topic: string
  readonly group: string
  publish(records: readonly (MadeRecord & { readonly partition?: number })[]): Promise<void>
  /** A record into each of the partitions. */
  publishAll(record: MadeRecord): Promise<void>
  member(stage?: Stage<readonly Entry[]>): Promise<Member>
}

interface Member extends AsyncDisposable {
  readonly done: Promise<void>
  readonly events: readonly StageEvent[]
}

async function open(brokers: string): Promise<Setting> {
  const db = await prepared()
  const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
  const kafka = createKafka(settings, { role: 'test', log: silent })
  await ensureTopics(settings, { role: 'test', log: silent }, ['public.t'])
  const topic = `${settings.prefix}.public.t`
  const producer = kafka.producer({ createPartitioner: DefaultPartitioner, allowAutoTopicCreation: false })
  await producer.connect()
  const members: Member[] = []
  const publish: Setting['publish'] = async (records) => {
    await producer.send({ topic, acks: -1, messages: records.map((record) => ({ ...record })) })
  }
  return {
    db,
    kafka,
    topic,
    group: `${settings.prefix}.${NAME}`,
    publish,
    publishAll: (record) => publish([0, 1, 2, 3].map((partition) => ({ ...record, partition }))),
    member: async (stage = copying()) => {
      const stop = new AbortController()
      const events: StageEvent[] = []
      const opened = await openKafkaStage({
        kafka,
        group: `${settings.prefix}.${NAME}`,
        topics: new Map([[topic, 'public.t']]),
        kindOf: (_, column) => (column === 'id' ? 'text' : undefined),
        pool: db.pool,
        url: db.url,
        createStage: () => stage,
        isFollowed: false,
        signal: stop.signal,
        report: (event) => events.push(event),
        sessionTimeoutMs: 6_000,
        barrierEveryMs: 50,
      })
      const done = opened.run()
      const ended = done.catch(() => undefined)
      const member = {
        done,
        events,
        [Symbol.asyncDispose]: async () => {
          stop.abort(new Error('The test has ended.'))
          await ended
        },
      }
      members.push(member)
      return member
    },
    [Symbol.asyncDispose]: async () => {
      for (const member of members) await member[Symbol.asyncDispose]()
      await producer.disconnect()
      await db[Symbol.asyncDispose]()
    },
  }
}

const rows = (from: number, count: number) => Array.from({ length: count }, (_, place) => rowRecord(from + place))
const ids = (from: number, count: number) => rows(from, count).map((_, place) => `${from + place}.0`)

describeKafka('members of a group', ({ brokers }) => {
  test('every record counts once: published twice, read again after a start, with the offsets set to zero', async () => {
    await using setting = await open(brokers)
    const { db } = setting
    await setting.publish([...rows(100, 50), ...rows(100, 50)])
    const first = await setting.member()
    await eventually(async () => expect(await applied(db.pool)).toEqual(ids(100, 50)))
    await first[Symbol.asyncDispose]()
    await setOffsets(setting, '0')
    await setting.publish(rows(150, 10))
    await setting.member()
    await eventually(async () => expect(await applied(db.pool)).toEqual(ids(100, 60)))
    // Whatever comes again comes before the barrier.
    await setting.publishAll(barrierRecord(1_000))
    await eventually(async () => expect(await least(db)).toBe('0/3E7'))
    expect(await applied(db.pool)).toEqual(ids(100, 60))
  })

  test('offsets of the group that are ahead are not believed: nothing is left out', async () => {
    await using setting = await open(brokers)
    await setting.publish(rows(100, 50))
    const first = await setting.member()
    await eventually(async () => expect(await applied(setting.db.pool)).toHaveLength(50))
    await first[Symbol.asyncDispose]()
    await setting.publish(rows(150, 50))
    await setOffsets(setting, 'end')
    await setting.publish(rows(200, 50))
    await setting.member()
    await eventually(async () => expect(await applied(setting.db.pool)).toEqual(ids(100, 150)))
  })

  test('a member that joins in the middle of a batch aborts it, and each record still counts once', async () => {
    await using setting = await open(brokers)
    const { db } = setting
    const inside = Promise.withResolvers<void>()
    let aborted = 0
    const plain = copying()
    const stuck: Stage<readonly Entry[]> = {
      ...plain,
      apply: async (entries, context) => {
        await plain.apply(entries, context)
        inside.resolve()
        await new Promise<void>((resolve) => context.signal.addEventListener('abort', () => resolve(), { once: true }))
        aborted += 1
        context.signal.throwIfAborted()
      },
    }
    await setting.publish(rows(100, 200))
    const first = await setting.member(stuck)
    await inside.promise
    expect(await applied(db.pool)).toEqual([])
    await setting.member()
    await eventually(() => expect(aborted).toBeGreaterThan(0))
    // The first goes on being stuck in what it is given; the second gets the rest once the first is gone.
    await first[Symbol.asyncDispose]()
    await eventually(async () => expect(await applied(db.pool)).toEqual(ids(100, 200)))
  })

  test('a topic that was deleted and made anew under its reader is refused', async () => {
    await using setting = await open(brokers)
    await setting.publish(rows(100, 50))
    const first = await setting.member()
    await eventually(async () => expect(await applied(setting.db.pool)).toHaveLength(50))
    await first[Symbol.asyncDispose]()
    const admin = setting.kafka.admin()
    await admin.connect()
    await admin.deleteTopics({ topics: [setting.topic] })
    await eventually(async () => {
      expect(await admin.listTopics()).not.toContain(setting.topic)
      await admin.createTopics({ topics: [{ topic: setting.topic, numPartitions: 4, replicationFactor: 1 }] })
    })
    await admin.disconnect()
    const second = await setting.member()
    await expect(second.done).rejects.toMatchObject({ code: 'LOG_TOPIC_REPLACED', fate: 'stop' })
  })

  test('a failure of the database is repeated in place while the heart beats, and a stop comes through at once', async () => {
    await using setting = await open(brokers)
    const plain = copying()
    let failures = 3
    const member = await setting.member({
      ...plain,
      apply: async (entries, context) => {
        await plain.apply(entries, context)
        if (failures === 0) return
        failures -= 1
        await context.client.query(`do $$ begin raise exception 'planted' using errcode = '40001'; end $$`)
      },
    })
    await setting.publish(rows(100, 10))
    await eventually(async () => expect(await applied(setting.db.pool)).toEqual(ids(100, 10)))
    expect(failures).toBe(0)
    await member[Symbol.asyncDispose]()
  })
})

async function least({ pool }: TestDatabase): Promise<string | undefined> {
  const { rows: found } = await pool.query<{ lsn: string }>(
    `select reflected_lsn::text as lsn from rescore.stage_position where stage = $1 and topic = ''`,
    [NAME],
  )
  return found[0]?.lsn
}

async function setOffsets({ kafka, group, topic }: Setting, where: '0' | 'end'): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const ends = await admin.fetchTopicOffsets(topic)
  await admin.setOffsets({
    groupId: group,
    topic,
    partitions: ends.map(({ partition, high }) => ({ partition, offset: where === 'end' ? high : where })),
  })
  await admin.disconnect()
}
