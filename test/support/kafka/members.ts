/**
 * Members of a group on a real broker and a real PostgreSQL.
 * Invariant: disposing ends every member and waits for it before the database goes.
 */
import type { Kafka } from 'kafkajs'
import { createKafka, DefaultPartitioner } from '../../../src/log/kafka/client.ts'
import { openKafkaStage } from '../../../src/log/kafka/consume-stage.ts'
import { ensureTopics } from '../../../src/log/kafka/topics-admin.ts'
import type { Entry } from '../../../src/log/log.ts'
import type { Stage, StageEvent } from '../../../src/log/stage.ts'
import type { TestDatabase } from '../pg.ts'
import { copying, NAME, prepared } from '../stage.ts'
import { kafkaSettings } from './kafka.ts'
import type { MadeRecord } from './records.ts'

const silent = { warn: () => undefined }

/** A topic of four partitions, a database with the tables of stage.ts, and members of a group between them. */
export interface Setting extends AsyncDisposable {
  readonly db: TestDatabase
  readonly kafka: Kafka
  readonly topic: string
  readonly group: string
  publish(records: readonly (MadeRecord & { readonly partition?: number })[]): Promise<void>
  /** A record into each of the partitions. */
  publishAll(record: MadeRecord): Promise<void>
  member(stage?: Stage<readonly Entry[]>): Promise<Member>
}

export interface Member extends AsyncDisposable {
  readonly done: Promise<void>
  readonly events: readonly StageEvent[]
}

export async function openMembers(brokers: string): Promise<Setting> {
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
        group: `${settings.prefix}.${stage.name}`,
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
