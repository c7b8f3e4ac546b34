/** Members of a group on a real broker and a real PostgreSQL: who reads what, from where, and how often it counts. */
import { expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { describeKafka } from '../../../test/support/kafka/kafka.ts'
import { openMembers, type Setting } from '../../../test/support/kafka/members.ts'
import { barrierRecord, rowRecord } from '../../../test/support/kafka/records.ts'
import type { TestDatabase } from '../../../test/support/pg.ts'
import { applied, copying, NAME } from '../../../test/support/stage.ts'
import type { Entry } from '../log.ts'
import type { Stage } from '../stage.ts'

const rows = (from: number, count: number) => Array.from({ length: count }, (_, place) => rowRecord(from + place))
const ids = (from: number, count: number) => rows(from, count).map((_, place) => `${from + place}.0`)

describeKafka('members of a group', ({ brokers }) => {
  test('every record counts once: published twice, read again after a start, with the offsets set to zero', async () => {
    await using setting = await openMembers(brokers)
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
    await using setting = await openMembers(brokers)
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
    await using setting = await openMembers(brokers)
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
    await using setting = await openMembers(brokers)
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
    await expect(second.done).rejects.toMatchObject({ code: 'LOG_RECORDS_LOST', fate: 'stop' })
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
