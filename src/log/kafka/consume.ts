/**
 * One member of a consumer group: which records are read, from where, and what happens when the group is shared anew.
 *
 * Invariants. PostgreSQL says where a partition stands; the group's offsets only follow, and are never believed where
 * they are ahead: then the partition is sought back, and records that are gone by then are an error, never a gap. Where
 * they are behind, what comes again is passed over by position. kafkajs beats no heart while a batch is handled, so each
 * batch has a timer of its own; when the group says no, the batch is aborted at once and the group's error escapes,
 * which is what makes kafkajs join again. A batch is retried in place, without bound, while its heart beats.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs'
import { Backoff, sleep } from '../../db/backoff.ts'
import { isRetriableDbError } from '../../db/pool.ts'
import { asError, isRescoreError, RescoreError } from '../../errors.ts'
import type { Source } from '../log.ts'
import type { KafkaRecord } from './decode.ts'
import { kafkaError } from './errors.ts'

/** What a member does with the partitions it is given. */
export interface PartitionHandler {
  /** Where the partition stands; `isFirst`: nothing of it was ever handled. */
  stored(source: Source): Promise<{ readonly nextOffset: bigint; readonly isFirst: boolean }>
  /** Other members may have moved any partition since. */
  forget(): void
  handle(source: Source, records: readonly KafkaRecord[], signal: AbortSignal): Promise<void>
  /** Records of the partition that wait behind `nextOffset`, and since when, milliseconds since 1970. */
  noteBacklog(source: Source, records: number, sinceMs: number | null): void
}

export interface GroupOptions {
  readonly kafka: Kafka
  readonly group: string
  readonly topics: readonly string[]
  readonly handler: PartitionHandler
  readonly signal: AbortSignal
  readonly onError: (error: Error) => void
  /** Partitions handled at once. */
  readonly concurrency: number
  /** Records of one transaction. */
  readonly maxEntries: number
  readonly sessionTimeoutMs?: number
}

const FETCH_WAIT_MS = 250
const COMMIT_EVERY_MS = 1_000
/** A batch in hand when the process is to stop has this long to commit. */
const DRAIN_MS = 1_500

const idOf = ({ topic, partition }: Source) => `${partition} ${topic}`

class Member {
  readonly #options: GroupOptions
  readonly #consumer: Consumer
  readonly #failure = new AbortController()
  /** By partition: the offset its next batch should begin with. Empty after each sharing out. */
  #expected = new Map<string, bigint>()
  /** Where a partition was sought to, so that a gap there is known for one. */
  #sought = new Map<string, bigint>()
  /** Committed in PostgreSQL, not yet told to the group. */
  readonly #behind = new Map<string, Source & { readonly offset: string }>()
  readonly #hard = new AbortController()

  constructor(options: GroupOptions) {
    this.#options = options
    const sessionTimeout = options.sessionTimeoutMs ?? 30_000
    this.#consumer = options.kafka.consumer({
      groupId: options.group,
      sessionTimeout,
      heartbeatInterval: this.#beatEveryMs,
      rebalanceTimeout: Math.max(sessionTimeout, 10_000),
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytesPerPartition: 1_048_576,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 8, restartOnFailure: () => Promise.resolve(false) },
    })
  }

  get #beatEveryMs(): number {
    return Math.min(3_000, (this.#options.sessionTimeoutMs ?? 30_000) / 6)
  }

  /** Until the signal aborts. @throws whatever ends the membership otherwise */
  async run(): Promise<void> {
    const { topics, signal, concurrency } = this.#options
    const consumer = this.#consumer
    const over = AbortSignal.any([signal, this.#failure.signal])
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => this.#joined(payload.memberAssignment))
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#failure.abort(payload.error))
    const drain = () => setTimeout(() => this.#hard.abort(asError(over.reason)), DRAIN_MS).unref()
    over.addEventListener('abort', drain, { once: true })
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: concurrency,
        eachBatch: (payload) => this.#batch(payload),
      })
      while (!over.aborted) {
        // Rejects only when the signal aborts, which the loop's condition sees.
        await sleep(COMMIT_EVERY_MS, over).catch(() => undefined)
        await this.#commit()
      }
      this.#failure.signal.throwIfAborted()
    } catch (error) {
      throw isRescoreError(error) || isRetriableDbError(error)
        ? error
        : kafkaError(error, `reading ${topics.join(', ')}`)
    } finally {
      if (!over.aborted) this.#failure.abort(new Error('The member has ended.'))
      await this.#leave()
    }
  }

  async #leave(): Promise<void> {
    const limit = new AbortController()
    const gone = this.#consumer
      .stop()
      .then(() => this.#consumer.disconnect())
      .catch((error: unknown) => this.#options.onError(asError(error)))
      .finally(() => limit.abort())
    await Promise.race([gone, sleep(DRAIN_MS + 5_000, limit.signal).catch(() => undefined)])
  }

  #joined(assignment: Readonly<Record<string, readonly number[]>>): void {
    this.#expected = new Map()
    this.#sought = new Map()
    this.#behind.clear()
    this.#options.handler.forget()
    this.#verify(assignment).catch((error: unknown) => this.#failure.abort(error))
  }

  /** Refuses a topic that does not hold what was left in it. */
  async #verify(assignment: Readonly<Record<string, readonly number[]>>): Promise<void> {
    const { kafka, handler } = this.#options
    const admin = kafka.admin()
    try {
      await admin.connect()
      for (const [topic, partitions] of Object.entries(assignment)) {
        if (partitions.length === 0) continue
        const offsets = await admin.fetchTopicOffsets(topic)
        for (const { partition, low, high } of offsets) {
          if (!partitions.includes(partition)) continue
          const { nextOffset, isFirst } = await handler.stored({ topic, partition })
          if (isFirst) continue
          if (nextOffset > BigInt(high)) throw replaced({ topic, partition }, nextOffset, high)
          if (nextOffset < BigInt(low)) throw gone({ topic, partition }, nextOffset, low)
        }
      }
    } catch (error) {
      const reason =
        isRescoreError(error) || isRetriableDbError(error) ? error : kafkaError(error, 'looking at offsets')
      // What cannot be asked now is asked at the next sharing out; only an answer refuses.
      if (!isRescoreError(reason) || reason.fate !== 'stop') this.#options.onError(asError(reason))
      else throw reason
    } finally {
      await admin.disconnect().catch((error: unknown) => this.#options.onError(asError(error)))
    }
  }

  async #batch({ batch, heartbeat, resolveOffset, isRunning, isStale }: EachBatchPayload): Promise<void> {
    const { signal, maxEntries } = this.#options
    const source = { topic: batch.topic, partition: batch.partition }
    const expected = this.#expected
    const refused = new AbortController()
    const over = AbortSignal.any([refused.signal, this.#hard.signal])
    const timer = setInterval(() => {
      heartbeat().catch((error: unknown) => refused.abort(error))
    }, this.#beatEveryMs)
    try {
      if (!(await this.#isInPlace(batch, source))) return
      for (let from = 0; from < batch.messages.length; from += maxEntries) {
        // In the middle of a batch the group may have been shared anew, or the process is to stop.
        if (!isRunning() || isStale() || signal.aborted || this.#failure.signal.aborted) return
        refused.signal.throwIfAborted()
        const records = batch.messages.slice(from, from + maxEntries).map(recordOf)
        const last = records.at(-1)
        if (last === undefined) return
        this.#tellBacklog(source, batch.highWatermark, records[0])
        await this.#handle(source, records, over, heartbeat)
        resolveOffset(String(last.offset))
        expected.set(idOf(source), last.offset + 1n)
        this.#behind.set(idOf(source), { ...source, offset: String(last.offset + 1n) })
        if (from + maxEntries >= batch.messages.length) this.#tellBacklog(source, batch.highWatermark, undefined, last)
      }
    } catch (error) {
      // The group's own error is what kafkajs knows how to go on from.
      if (refused.signal.aborted) throw refused.signal.reason
      if (this.#hard.signal.aborted || this.#failure.signal.aborted) return
      if (isRescoreError(error) && error.fate === 'stop') this.#failure.abort(error)
      throw error
    } finally {
      clearInterval(timer)
    }
  }

  #tellBacklog(source: Source, high: string, first: KafkaRecord | undefined, last?: KafkaRecord): void {
    const from = first?.offset ?? (last === undefined ? 0n : last.offset + 1n)
    const left = Number(BigInt(high) - from)
    this.#options.handler.noteBacklog(
      source,
      Math.max(0, left),
      left <= 0 ? null : ((first ?? last)?.timestampMs ?? null),
    )
  }

  /** False: it was sought to where it stands, and comes again from there. */
  async #isInPlace(batch: EachBatchPayload['batch'], source: Source): Promise<boolean> {
    const id = idOf(source)
    const first = BigInt(batch.firstOffset() ?? batch.messages[0]?.offset ?? '0')
    const stored = await this.#options.handler.stored(source)
    const expected = this.#expected.get(id) ?? stored.nextOffset
    if (first <= expected) {
      if (first < expected && this.#expected.has(id)) await this.#verify({ [source.topic]: [source.partition] })
      return true
    }
    // Nothing of it was ever handled: the sweep of the stage's start sees what older records told.
    if (stored.isFirst) return true
    if (this.#sought.get(id) !== expected) {
      this.#sought.set(id, expected)
      this.#consumer.seek({ ...source, offset: String(expected) })
      return false
    }
    // Sought, and still not there: a gap that compaction or a transaction's marker left, or records that are gone.
    await this.#verify({ [source.topic]: [source.partition] })
    return true
  }

  async #handle(
    source: Source,
    records: readonly KafkaRecord[],
    signal: AbortSignal,
    heartbeat: () => Promise<void>,
  ): Promise<void> {
    const backoff = new Backoff({ baseMs: 10, maxMs: 5_000 })
    for (;;) {
      signal.throwIfAborted()
      try {
        await this.#options.handler.handle(source, records, signal)
        return
      } catch (error) {
        signal.throwIfAborted()
        const isRetriable = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
        this.#options.onError(asError(error))
        if (!isRetriable) throw error
        // A worker that lost the partition without noticing hears it here.
        if (isRescoreError(error) && error.code === 'LOG_PARTITION_MOVED') await heartbeat()
        await backoff.wait(signal)
      }
    }
  }

  /** Offsets are a hint: not being able to leave it harms nothing. */
  async #commit(): Promise<void> {
    const offsets = [...this.#behind.values()]
    if (offsets.length === 0) return
    this.#behind.clear()
    try {
      await this.#consumer.commitOffsets(offsets)
    } catch (error) {
      this.#options.onError(kafkaError(error, 'committing offsets'))
    }
  }
}

function recordOf(message: EachBatchPayload['batch']['messages'][number]): KafkaRecord {
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const one = Array.isArray(value) ? value.at(-1) : value
    headers[name] = one === undefined ? undefined : one.toString()
  }
  return {
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers,
  }
}

function replaced({ topic, partition }: Source, nextOffset: bigint, high: string): RescoreError {
  return new RescoreError({
    code: 'LOG_TOPIC_REPLACED',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} ends at ${high}, but records up to ${nextOffset} were handled: the topic was deleted and made anew.`,
    mend: 'Changes that were in it may be lost: rescore resync, which makes everything anew, and start again.',
  })
}

function gone({ topic, partition }: Source, nextOffset: bigint, low: string): RescoreError {
  return new RescoreError({
    code: 'LOG_RECORDS_GONE',
    fate: 'stop',
    message: `Partition ${partition} of ${topic} begins at ${low}, but records from ${nextOffset} on were not handled yet: retention removed them.`,
    mend: 'rescore resync, which makes everything anew; and a retention longer than the longest time without workers.',
  })
}

/** Runs until the signal aborts; joins again after what is worth it. @throws errors of fate `stop` */
export async function runGroup(options: GroupOptions): Promise<void> {
  const { signal, onError } = options
  const backoff = new Backoff({ baseMs: 100, maxMs: 10_000 })
  while (!signal.aborted) {
    const startedMs = performance.now()
    try {
      await new Member(options).run()
    } catch (error) {
      if (signal.aborted) return
      const isRetriable = isRescoreError(error) ? error.fate === 'retry' : isRetriableDbError(error)
      if (!isRetriable) throw error
      onError(asError(error))
      if (performance.now() - startedMs > 60_000) backoff.reset()
      // Rejects only when the signal aborts, which the loop's condition sees.
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}
