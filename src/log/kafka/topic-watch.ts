/**
 * Whether the topics are still those that the stages have positions in, asked at the start and as long as a process lives.
 *
 * Why: a topic that was deleted and made anew looks like any other as soon as it has grown past where a stage wants to
 * read on, and its first records would be passed over. Its id tells. Invariants: a topic that is gone or another ends the
 * process, whether anything is read from it or written to it at the time; what one broker says alone does not, since one
 * that is behind may not know a topic yet, so it must stay so; trouble with asking ends nothing.
 */
import type { Kafka } from 'kafkajs'
import { Backoff, retry, sleep } from '../../db/backoff.ts'
import type { Pool } from '../../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../../errors.ts'
import { abortion } from './admin.ts'
import { readTopicIds } from './topic-ids.ts'

export interface TopicWatchOptions {
  readonly pool: Pool
  /** One that does not try for long: it is asked again. */
  readonly kafka: Kafka
  /** Those that this process has to do with. */
  readonly topics: readonly string[]
  readonly signal: AbortSignal
  readonly onError: (error: Error) => void
  /** Default 3 s. */
  readonly everyMs?: number
}

type Asked = Pick<TopicWatchOptions, 'pool' | 'kafka' | 'topics'>

const EVERY_MS = 3_000
const RESYNC = 'Changes that were in it may be lost: stop every process, `rescore resync --yes`, and start.'
/** How often a broker must say so before it is believed. */
const SURE = {
  attempts: 4,
  baseMs: 250,
  maxMs: 1_000,
  isRetriable: (error: unknown) => isRescoreError(error) && isOtherTopic(error),
}

function isOtherTopic({ code }: RescoreError): boolean {
  return code === 'LOG_TOPIC_REPLACED' || code === 'LOG_KAFKA_TOPIC_LOST'
}

/** Those of the topics that stages have positions in, with the ids they had then. */
async function readKnown({ pool, topics }: Asked): Promise<ReadonlyMap<string, string>> {
  const { rows } = await pool.query<{ topic: string; id: string }>(
    `select topic, min(topic_id) as id from rescore.stage_position
     where topic = any ($1) and topic_id is not null group by topic order by topic`,
    [topics],
  )
  return new Map(rows.map(({ topic, id }) => [topic, id]))
}

async function look(kafka: Kafka, known: ReadonlyMap<string, string>): Promise<void> {
  const found = await readTopicIds(kafka, [...known.keys()])
  const lost = [...known.keys()].filter((topic) => !found.has(topic))
  if (lost.length > 0) throw topicLost(lost)
  for (const [topic, before] of known) {
    const now = found.get(topic) ?? null
    if (now !== null && now !== before) throw topicReplaced(topic, before, now)
  }
}

/** @throws RescoreError LOG_KAFKA_TOPIC_LOST, LOG_TOPIC_REPLACED; LOG_KAFKA_* when the brokers cannot be asked */
export async function refuseOtherTopics(asked: Asked): Promise<void> {
  const known = await readKnown(asked)
  await retry(() => look(asked.kafka, known), SURE)
}

/** Runs until the signal aborts. @throws RescoreError LOG_KAFKA_TOPIC_LOST, LOG_TOPIC_REPLACED */
export async function watchTopics(options: TopicWatchOptions): Promise<void> {
  const { signal, onError, everyMs = EVERY_MS } = options
  const backoff = new Backoff({ baseMs: everyMs, maxMs: 10 * everyMs })
  while (!signal.aborted) {
    // What is asked of a broker that is away is not waited for once the signal aborts.
    const abort = abortion(signal)
    try {
      await Promise.race([refuseOtherTopics(options), abort.promise])
      backoff.reset()
      await sleep(everyMs, signal)
    } catch (error) {
      if (signal.aborted) return
      if (isRescoreError(error) && isOtherTopic(error)) throw error
      onError(asError(error))
      // Rejects only when the signal aborts, which the loop's condition sees.
      await backoff.wait(signal).catch(() => undefined)
    } finally {
      abort.done()
    }
  }
}

export function topicLost(topics: readonly string[]): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_TOPIC_LOST',
    fate: 'stop',
    message: `Topics that stages have positions in are gone: ${topics.join(', ')}. Changes may have been lost with them.`,
    mend: 'Stop every process, `rescore resync --yes`, and start: the topics are made anew and everything is recomputed.',
    context: { topics },
  })
}

function topicReplaced(topic: string, before: string, now: string): RescoreError {
  return new RescoreError({
    code: 'LOG_TOPIC_REPLACED',
    fate: 'stop',
    message: `Topic ${topic} was deleted and made anew: it had the id ${before}, and has ${now}.`,
    mend: RESYNC,
    context: { topic },
  })
}
