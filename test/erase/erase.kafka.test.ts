/** An erasure where changes travel over Kafka: told by a delete and its tombstone, and gone from topics that are purged. */
import { expect, test } from 'vitest'
import { notCovered, publishedTables, topicNote } from '../../src/erase/elsewhere.ts'
import { erase } from '../../src/erase/erase.ts'
import { subjectOf } from '../../src/erase/subject.ts'
import { capturedTables } from '../../src/graph/captured-tables.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { purgeTopics, readRetention } from '../../src/log/kafka/purge.ts'
import { topicName } from '../../src/log/kafka/topics.ts'
import { calm, createChecker } from '../chaos/running.ts'
import { startWorker } from '../kafka/shared.ts'
import { eventually } from '../support/eventually.ts'
import { describeKafka, kafkaSettings } from '../support/kafka/kafka.ts'
import { createTestDatabase } from '../support/pg.ts'
import { readTopics } from '../support/publishing.ts'
import { CANARY, companies, KEY, type MemorySource, projectOf, whereIs } from './setting.ts'

const client = { role: 'erase', log: { info: () => undefined, warn: () => undefined } }

describeKafka('an erasure', ({ brokers }) => {
  test('is published as a delete and a tombstone; purged topics hold nothing of the record, and all goes on', async () => {
    await using db = await createTestDatabase('erase_kafka')
    const source: MemorySource = {
      messages: [
        { op: 'upsert', table: companies, row: { id: KEY, name: CANARY } },
        { op: 'upsert', table: companies, row: { id: 1, name: 'one' } },
      ],
    }
    const config = projectOf(source)
    const graph = compileGraph(config)
    const subject = subjectOf('company', graph, config)
    const kafka = kafkaSettings({ KAFKA_BROKERS: brokers })
    const tables = publishedTables(subject, capturedTables(graph))
    const topics = tables.map((table) => topicName(kafka.prefix, table))
    await using worker = await startWorker(db, kafka, 'all', ['capture', 'recompute', 'score', 'connect'], config)
    const named = async () => {
      const { rows } = await db.query('select key::text from rescore.features_company order by 1')
      return rows.map(({ key }) => key)
    }
    await eventually(async () => expect(await named()).toEqual(['1', KEY]), { deadlineMs: 60_000 })
    const certificate = await erase({
      pool: db.pool,
      subject,
      key: KEY,
      askedBy: 'test',
      signal: new AbortController().signal,
      timeoutMs: 60_000,
      elsewhere: async () => {
        const retention = await readRetention(kafka, client, topics)
        const notes = topics.map((topic) => topicNote(topic, retention.get(topic) ?? null, Date.now()))
        return { topics: notes, notCovered: notCovered(subject, notes) }
      },
    })
    expect(certificate.topics).toEqual(
      topics.map((topic) => expect.objectContaining({ topic, goneBy: expect.any(String) })),
    )
    await calm(db)
    const holds = (value: unknown) => JSON.stringify(value ?? '').includes(CANARY)
    {
      await using reader = await readTopics(kafka, tables)
      await eventually(async () => {
        const own = reader.records.filter(({ key }) => key === JSON.stringify({ id: Number(KEY) }))
        expect(own.at(-1)?.value).toBeNull()
        expect(own.some(({ value }) => holds(value))).toBe(true)
      })
    }
    const purged = await purgeTopics(kafka, client, topics)
    expect([...purged.values()].reduce((sum, count) => sum + count, 0)).toBeGreaterThan(3)
    source.messages = [{ op: 'upsert', table: companies, row: { id: 2, name: 'two' } }, ...source.messages]
    await eventually(async () => expect(await named()).toEqual(['1', '2']), { deadlineMs: 60_000 })
    await calm(db)
    await using reader = await readTopics(kafka, tables)
    await eventually(async () => expect(reader.records.some(({ key }) => key === '{"id":2}')).toBe(true))
    expect(
      reader.records.filter(({ key, value }) => holds(key) || holds(value) || key?.includes(KEY) === true),
    ).toEqual([])
    expect(await whereIs(db.pool, CANARY)).toEqual([])
    await using checker = await createChecker({ ...config, connectors: [] })
    expect((await checker.check({ ...db })).differences).toEqual([])
    expect(worker.failures).toEqual([])
  })
})
