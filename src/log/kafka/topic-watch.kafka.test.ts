/** Topics under positions: the same, another of the same name, none. */
import { expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { describeKafka, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { createTestDatabase, type TestDatabase } from '../../../test/support/pg.ts'
import { NAME } from '../../../test/support/stage.ts'
import { withAdmin } from './admin.ts'
import { readFound } from './beginning.ts'
import { createKafka } from './client.ts'
import { ensurePartitions } from './partitions.ts'
import { readTopicIds } from './topic-ids.ts'
import { refuseOtherTopics, watchTopics } from './topic-watch.ts'
import { topicName } from './topics.ts'
import { ensureTopics } from './topics-admin.ts'

const TABLES = ['public.one', 'public.two']
const client = { log: { warn: () => undefined }, role: 'test', patience: 'command' } as const

/** Two topics, and a stage with a position in each of their partitions. */
async function openTopics(database: TestDatabase, brokers: string) {
  const settings = kafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PARTITIONS: '2' })
  const kafka = createKafka(settings, client)
  const topics = TABLES.map((table) => topicName(settings.prefix, table))
  const [one = ''] = topics
  await ensureTopics(settings, client, TABLES)
  await ensurePartitions(database.pool, NAME, await readFound(kafka, topics, 'high'))
  const remove = async () => {
    await withAdmin(settings, client, 'deleting a topic', (admin) => admin.deleteTopics({ topics: [one] }))
    await eventually(async () => expect(await readTopicIds(kafka, [one])).toEqual(new Map()))
  }
  const makeAnew = () => eventually(() => ensureTopics(settings, client, TABLES))
  return { asked: { pool: database.pool, kafka, topics }, one, remove, makeAnew }
}

function watch(asked: Parameters<typeof refuseOtherTopics>[0]) {
  const ending = new AbortController()
  const errors: Error[] = []
  const onError = (error: Error) => void errors.push(error)
  const done = watchTopics({ ...asked, signal: ending.signal, everyMs: 50, onError })
  // Awaited by the test, which may do something else first.
  void done.catch(() => undefined)
  return { done, errors, stop: () => ending.abort(new Error('The test is over.')) }
}

describeKafka('topics that stages have positions in', ({ brokers }) => {
  test('each has an id of its own, which stays with it', async () => {
    await using database = await createTestDatabase('topics')
    const { asked } = await openTopics(database, brokers)
    const ids = await readTopicIds(asked.kafka, asked.topics)
    expect(new Set(ids.values()).size).toBe(2)
    expect([...ids.values()].every((id) => /^[\w-]{22}$/.test(String(id)))).toBe(true)
    expect(await readTopicIds(asked.kafka, asked.topics)).toEqual(ids)
    const { rows } = await database.query<{ topic: string; id: string }>(
      `select topic, topic_id as id from rescore.stage_position where partition = 1`,
    )
    expect(new Map(rows.map(({ topic, id }) => [topic, id]))).toEqual(ids)
    await refuseOtherTopics(asked)
  })

  test('one made anew is refused, at the start and while it is watched, whatever it has grown to', async () => {
    await using database = await createTestDatabase('topics')
    const { asked, one, remove, makeAnew } = await openTopics(database, brokers)
    const watched = watch(asked)
    await remove()
    await makeAnew()
    const refusal = { code: expect.stringMatching(/^LOG_(TOPIC_REPLACED|KAFKA_TOPIC_LOST)$/), fate: 'stop' }
    await expect(watched.done).rejects.toMatchObject(refusal)
    await expect(refuseOtherTopics(asked)).rejects.toMatchObject({
      code: 'LOG_TOPIC_REPLACED',
      message: expect.stringContaining(one),
      mend: expect.stringContaining('rescore resync'),
    })
    // Of no concern to a process that has nothing to do with it.
    await refuseOtherTopics({ ...asked, topics: asked.topics.filter((topic) => topic !== one) })
    // A start that finds the position finds the id it had.
    await ensurePartitions(database.pool, NAME, await readFound(asked.kafka, asked.topics, 'low'))
    await expect(refuseOtherTopics(asked)).rejects.toMatchObject({ code: 'LOG_TOPIC_REPLACED' })
  })

  test('one that is gone is refused by name', async () => {
    await using database = await createTestDatabase('topics')
    const { asked, one, remove } = await openTopics(database, brokers)
    const watched = watch(asked)
    await remove()
    await expect(watched.done).rejects.toMatchObject({
      code: 'LOG_KAFKA_TOPIC_LOST',
      message: expect.stringContaining(one),
      mend: expect.stringContaining('rescore resync'),
    })
  })

  test('brokers that cannot be asked end nothing', async () => {
    await using database = await createTestDatabase('topics')
    const { asked } = await openTopics(database, brokers)
    const away = createKafka(kafkaSettings({ KAFKA_BROKERS: '127.0.0.1:1' }), client)
    const watched = watch({ ...asked, kafka: away })
    await eventually(() => expect(watched.errors.length).toBeGreaterThan(1))
    expect(watched.errors[0]).toMatchObject({ code: 'LOG_KAFKA_UNREACHABLE' })
    watched.stop()
    await watched.done
  })
})
