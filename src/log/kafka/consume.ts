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
import { isRetriableDbError, isWorthRepeating } from '../../db/pool.ts'
import { asError, isRescoreError } from '../../errors.ts'
import type { Source } from '../log.ts'
import { type Assignment, refuseOtherOffsets } from './consume-offsets.ts'
import { recordOf } from './consume-record.ts'
import type { KafkaRecord } from './decode.ts'
import { kafkaError } from './errors.ts'

/** What a member does with the partitions it is given. */
export interface PartitionHandler {
  /** Where the partition stands. */
  stored(source: Source): Promise<{ readonly nextOffset: bigint }>
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
  /** How long a batch in hand may take to commit once the signal has aborted. Default 1,500. */
  readonly drainMs?: number
}

const FETCH_WAIT_MS = 250
const COMMIT_EVERY_MS = 1_000
const DRAIN_MS = 1_500

const idOf = ({ topic, partition }: Source) => `${partition} ${topic}`

export class Member {
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
  #looking: Promise<void> = Promise.resolve()
  /** What the stage itself cannot go on from: kept apart from what kafkajs makes of errors. */
  #ended: Error | null = null

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

  /** Where something has failed already there is nothing to be patient for. */
  get #drainMs(): number {
    return this.#failure.signal.aborted ? DRAIN_MS : (this.#options.drainMs ?? DRAIN_MS)
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
    const drain = () => setTimeout(() => this.#hard.abort(asError(over.reason)), this.#drainMs).unref()
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
      throw isRescoreError(error) || isRetriableDbError(error) || error === this.#ended
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
    // What is being asked about the partitions uses what the caller closes next.
    const over = Promise.all([gone, this.#looking]).finally(() => limit.abort())
    await Promise.race([over, sleep(this.#drainMs + 5_000, limit.signal).catch(() => undefined)])
  }

  #joined(assignment: Assignment): void {
    this.#expected = new Map()
    this.#sought = new Map()
    this.#behind.clear()
    this.#options.handler.forget()
    this.#looking = refuseOtherOffsets(this.#options, assignment).catch((error: unknown) => this.#failure.abort(error))
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
      if (this.#ended !== null) this.#failure.abort(this.#ended)
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
      if (first < expected && this.#expected.has(id))
        await refuseOtherOffsets(this.#options, { [source.topic]: [source.partition] })
      return true
    }
    if (this.#sought.get(id) !== expected) {
      this.#sought.set(id, expected)
      this.#consumer.seek({ ...source, offset: String(expected) })
      return false
    }
    // Sought, and still not there: a gap that compaction or a transaction's marker left, or records that are gone.
    await refuseOtherOffsets(this.#options, { [source.topic]: [source.partition] })
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
        this.#options.onError(asError(error))
        if (!isWorthRepeating(error)) {
          this.#ended = asError(error)
          throw this.#ended
        }
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
