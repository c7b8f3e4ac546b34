/**
 * Publishes records to Kafka, in order and at least once, with one outstanding round.
 *
 * Invariants: a round is sent whole and again, as long as it takes, before the next one; `done` moves only when every
 * in-sync replica of every partition of a round has its records, or what stands for one too large for its topic;
 * `bytes` counts all that is not yet done, so that the caller can stop reading. An answer that was lost makes no duplicate
 * (publish-identity.ts). A crash loses what was not done, which the slot still has: duplicates, never a gap and never
 * another order.
 */
import { RescoreError } from '../../errors.ts'
import { BATCH_CODECS, type BatchCodec } from './compress.ts'
import type { ByteWriter } from './encode-bytes.ts'
import { kafkaError } from './errors.ts'
import type { RecordBatch } from './publish-batch.ts'
import { ProducerIdentity } from './publish-identity.ts'
import { BrokerLink } from './publish-link.ts'
import type { PublisherOptions } from './publish-options.ts'
import { BrokerRefusal, isTooLarge, partitionNamed, UNKNOWN_TOPIC } from './publish-refusal.ts'
import { BatchPool, type PartitionRef, Round } from './publish-round.ts'
import type { ProduceWire } from './publish-wire.ts'

/** Below max.message.bytes of a topic as Kafka ships it (1 MiB and 12 bytes). */
const MAX_BATCH_BYTES = 1_000_000
const MAX_ROUND_BYTES = 4 * 1_048_576
/** LEADER_NOT_AVAILABLE. */
const NO_LEADER = 5

/** Where a topic's partitions stand among all of the publisher. */
export interface TopicPlaces {
  readonly topic: string
  readonly first: number
  readonly partitions: number
}

export class Publisher {
  readonly #options: PublisherOptions
  readonly #codec: BatchCodec | null
  readonly #pool = new BatchPool()
  readonly #link: BrokerLink
  readonly #identity = new ProducerIdentity()
  readonly #sealed: Round[] = []
  readonly #places: PartitionRef[] = []
  readonly #topics = new Map<string, TopicPlaces>()
  #open: Round
  #wake = Promise.withResolvers<void>()
  #done = 0
  #bytes = 0
  #isFlushing = false

  constructor(options: PublisherOptions) {
    this.#options = options
    const { compression = 'none' } = options
    this.#codec = compression === 'none' ? null : BATCH_CODECS[compression]
    this.#open = new Round(1, this.#pool)
    this.#link = new BrokerLink(options)
  }

  /** Bytes added and not yet done. */
  get bytes(): number {
    return this.#bytes
  }

  /** Number of the round that holds the record added last. */
  get mark(): number {
    return this.#open.records > 0 ? this.#open.number : this.#open.number - 1
  }

  /** Every round up to this number is done. */
  get done(): number {
    return this.#done
  }

  /** Every topic with its partitions; known once `connect` has resolved. */
  get topics(): ReadonlyMap<string, TopicPlaces> {
    return this.#topics
  }

  /** Learns the partitions of the topics; waits while the brokers are away. @throws errors of fate `stop` */
  async connect(): Promise<void> {
    const { topics } = this.#options
    const counts = await this.#link.persist('reading the topics', (wire) => wire.partitionCounts(topics))
    for (const topic of topics) {
      const partitions = counts.get(topic) ?? 0
      if (partitions === 0) throw kafkaError(new BrokerRefusal(topic, UNKNOWN_TOPIC), 'reading the topics')
      this.#topics.set(topic, { topic, first: this.#places.length, partitions })
      for (let partition = 0; partition < partitions; partition += 1) this.#places.push({ topic, partition })
    }
  }

  /**
   * Adds a record; the bytes are copied.
   * @param place of the partition: `first` of its topic plus its number
   * @param valueBytes of the value at the beginning of `rest`, -1 for null; behind it the headers, as in a record
   */
  add(place: number, key: ByteWriter | null, valueBytes: number, rest: ByteWriter): void {
    const size = (key?.at ?? 0) + rest.at + 32
    const { maxBatchBytes = MAX_BATCH_BYTES } = this.#options
    let batch = this.#open.batch(place)
    if ((batch.count > 0 && batch.bytes + size > maxBatchBytes) || this.#open.bytes > MAX_ROUND_BYTES) {
      this.#seal()
      batch = this.#open.batch(place)
    }
    const before = batch.bytes
    batch.add(key, valueBytes, rest)
    const added = batch.bytes - before
    this.#open.records += 1
    this.#open.bytes += added
    this.#bytes += added
  }

  /** Lets what was added go as soon as nothing is outstanding, at the end of this tick. */
  flush(): void {
    if (this.#isFlushing) return
    this.#isFlushing = true
    queueMicrotask(() => {
      this.#isFlushing = false
      this.#wake.resolve()
    })
  }

  /** Sends until the signal aborts. @throws errors of fate `stop` */
  async run(): Promise<void> {
    const { signal, faults, onProgress, onPublished } = this.#options
    const onAbort = () => this.#wake.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      while (!signal.aborted) {
        const round = this.#next()
        if (round === undefined) {
          await this.#wake.promise
          this.#wake = Promise.withResolvers<void>()
          continue
        }
        await faults?.hit('before-send')
        await this.#link.persist('publishing', (wire, isCurrent) => this.#send(wire, round, isCurrent))
        await faults?.hit('after-ack')
        this.#done = round.number
        this.#bytes -= round.bytes
        onPublished?.(round.records, round.bytes)
        onProgress()
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      await this.#link.disconnect()
    }
  }

  #next(): Round | undefined {
    if (this.#sealed.length === 0 && this.#open.records > 0) this.#seal()
    return this.#sealed.shift()
  }

  #seal(): void {
    // A partition that was looked at and got nothing has an empty batch.
    for (const [place, batch] of this.#open.heads()) if (batch.count === 0) this.#open.acknowledged(place)
    this.#sealed.push(this.#open)
    this.#open = new Round(this.#open.number + 1, this.#pool)
  }

  /** One attempt: what is acknowledged leaves the round, whatever becomes of the rest. */
  async #send(wire: ProduceWire, round: Round, isCurrent: () => boolean): Promise<void> {
    await this.#identity.ensure(wire, isCurrent)
    while (!round.isDone && isCurrent()) {
      const nowMs = Date.now()
      const heads = new Map(round.heads())
      const byLeader = new Map<number, { place: number; batch: Buffer }[]>()
      for (const [place, batch] of heads) {
        const { topic, partition } = this.#ref(place)
        const leader = wire.leaderOf(topic, partition)
        if (leader === null) {
          await wire.refresh()
          throw new BrokerRefusal(partitionNamed(topic, partition), NO_LEADER)
        }
        const parts = byLeader.get(leader) ?? []
        parts.push({ place, batch: await batch.finish(nowMs, this.#codec, this.#identity.stamp(place)) })
        byLeader.set(leader, parts)
      }
      if (this.#options.maySend?.() === false) throw roleLost()
      const outcomes = await Promise.allSettled(
        [...byLeader].map(async ([leader, parts]) => {
          const answers = await wire.produce(
            leader,
            parts.map(({ place, batch }) => ({ ...this.#ref(place), batch })),
          )
          for (const answer of answers) {
            if (!isCurrent()) return
            const place = (this.#topics.get(answer.topic)?.first ?? 0) + answer.partition
            await this.#answered(round, place, heads.get(place), answer.errorCode, isCurrent)
          }
        }),
      )
      const failed = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failed === undefined) continue
      if (failed.reason instanceof BrokerRefusal) await wire.refresh()
      throw failed.reason
    }
  }

  #ref(place: number): PartitionRef {
    return this.#places[place] ?? { topic: '', partition: -1 }
  }

  async #answered(
    round: Round,
    place: number,
    batch: RecordBatch | undefined,
    errorCode: number,
    isCurrent: () => boolean,
  ): Promise<void> {
    const { topic, partition } = this.#ref(place)
    if (this.#identity.isAppended(errorCode)) {
      this.#identity.acknowledged(place, batch?.count ?? 0)
      round.acknowledged(place)
    } else if (!isTooLarge(errorCode) || batch === undefined) {
      this.#identity.refused(errorCode)
      throw new BrokerRefusal(partitionNamed(topic, partition), errorCode)
    } else if (batch.count > 1) round.split(place)
    else {
      const [record] = batch.records()
      if (record === undefined) throw new TypeError('An empty batch was refused.')
      const smaller = await this.#options.onRefused({ topic, partition, record, bytes: batch.bytes })
      // Given up meanwhile, it may have been replaced and sent by another attempt.
      if (isCurrent()) round.replace(place, smaller)
    }
  }
}

function roleLost(): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_ROLE_LOST',
    fate: 'retry',
    message: 'This process stood still, and another may publish by now: nothing is sent.',
    mend: 'Nothing: it gives up its role and asks for it again. If it recurs, look for what stops the process.',
  })
}
