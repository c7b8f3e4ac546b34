/**
 * The connection that records are published on: made, given up and made again, as long as it takes.
 *
 * Invariants: an attempt has a time of its own, and what it still does when that is over counts for nothing (`isCurrent`);
 * after any failure but a broker's plain refusal the connection is new, because nothing certain is known of the old one;
 * errors of fate `stop` end it, but for a topic that may only just have been made.
 */
import type { Kafka } from 'kafkajs'
import { Backoff, sleep } from '../../db/backoff.ts'
import type { RescoreError } from '../../errors.ts'
import { kafkaError } from './errors.ts'
import { BrokerRefusal } from './publish-refusal.ts'
import { openWire, type ProduceWire } from './publish-wire.ts'
import { within } from './within.ts'

const ATTEMPT_MS = 30_000
const GOODBYE_MS = 500
/** A topic made a moment ago is not known everywhere at once; one that stays unknown was deleted. */
const UNKNOWN_TOPIC_PATIENCE = 8

export interface LinkOptions {
  readonly kafka: Kafka
  readonly topics: readonly string[]
  /** How long one attempt may take before its connection is given up. Default 30 s. */
  readonly attemptMs?: number
  readonly signal: AbortSignal
  readonly onError?: (error: unknown, retryInMs: number) => void
}

export class BrokerLink {
  readonly #options: LinkOptions
  #wire: ProduceWire | null = null
  #attempt = 0

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Tries until it succeeds. @throws errors of fate `stop`; the signal's reason when it aborts */
  async persist<T>(doing: string, work: (wire: ProduceWire, isCurrent: () => boolean) => Promise<T>): Promise<T> {
    const { signal, onError, attemptMs = ATTEMPT_MS } = this.#options
    const backoff = new Backoff({ baseMs: 50, maxMs: 5_000 })
    for (let unknownTopics = 0; ; ) {
      signal.throwIfAborted()
      this.#attempt += 1
      const attempt = this.#attempt
      const isCurrent = () => attempt === this.#attempt
      try {
        const attempted = async () => work(await this.#connected(isCurrent), isCurrent)
        return await within(attemptMs, signal, attempted, () => new BrokerSilence(attemptMs))
      } catch (thrown) {
        signal.throwIfAborted()
        this.#attempt += 1
        const error = kafkaError(thrown, doing)
        if (!(thrown instanceof BrokerRefusal)) await this.disconnect()
        if (isUnknownTopic(error)) unknownTopics += 1
        const mayAppear = isUnknownTopic(error) && unknownTopics < UNKNOWN_TOPIC_PATIENCE
        if (error.fate === 'stop' && !mayAppear) throw error
        const delayMs = backoff.nextDelayMs()
        onError?.(error, delayMs)
        await sleep(delayMs, signal)
      }
    }
  }

  async disconnect(): Promise<void> {
    const wire = this.#wire
    this.#wire = null
    if (wire === null) return
    // Its answers mean nothing any more, so neither does how its end goes.
    await Promise.race([wire.close().catch(() => undefined), sleep(GOODBYE_MS)])
  }

  async #connected(isCurrent: () => boolean): Promise<ProduceWire> {
    if (this.#wire !== null) return this.#wire
    const { kafka, topics, attemptMs = ATTEMPT_MS } = this.#options
    const opened = await openWire(kafka, attemptMs)
    if (!isCurrent()) {
      // Given up meanwhile, and perhaps there is another by now.
      await opened.close()
      throw new BrokerSilence(attemptMs)
    }
    this.#wire = opened
    await opened.partitionCounts(topics)
    return opened
  }
}

const isUnknownTopic = ({ code }: RescoreError) => code === 'LOG_KAFKA_UNKNOWN_TOPIC'

/** Named as kafkajs names it, for src/log/kafka/errors.ts. */
class BrokerSilence extends Error {
  constructor(ms: number) {
    super(`no answer within ${ms} ms`)
    this.name = 'KafkaJSRequestTimeoutError'
  }
}
