/**
 * The ids of topics: what tells a topic from one of the same name that was made after it was deleted.
 *
 * Asked with version 10 of the Metadata call, the first that carries them (Kafka 2.8), which kafkajs does not speak.
 * Invariants: an older broker's topics have no id, and nobody guesses one; each question has a connection of its own, so
 * none is asked over one that a broker's restart has left behind.
 */
import type { Kafka } from 'kafkajs'
import { kafkaError } from './errors.ts'
import { BrokerRefusal, UNKNOWN_TOPIC } from './publish-refusal.ts'
import { callOf, openCluster } from './wire.ts'

const METADATA = { apiKey: 3, apiVersion: 10, apiName: 'Metadata' }
const ID_BYTES = 16
const NO_ID = Buffer.alloc(ID_BYTES)
const TIMEOUT_MS = 10_000

export interface TopicAnswer {
  readonly topic: string
  /** 0: it is there. */
  readonly errorCode: number
  /** As Kafka's own tools print it; null: it has none. */
  readonly id: string | null
}

/** A length or a count as Kafka's flexible versions write it: one more than it is, seven bits a byte. */
function compact(count: number): Buffer {
  const bytes: number[] = []
  for (let left = count + 1; ; left >>>= 7) {
    if (left < 0x80) return Buffer.from([...bytes, left])
    bytes.push((left & 0x7f) | 0x80)
  }
}

/** The first byte belongs to the head of the request: no tagged fields, which kafkajs's own head leaves out. */
export function encodeTopicsQuestion(topics: readonly string[]): Buffer {
  const asked = topics.map((topic) => {
    const name = Buffer.from(topic)
    return Buffer.concat([NO_ID, compact(name.length), name, Buffer.from([0])])
  })
  // Nothing is created, no rights are asked for, no tagged fields.
  return Buffer.concat([Buffer.from([0]), compact(topics.length), ...asked, Buffer.from([0, 0, 0, 0])])
}

/** Reads what flexible versions are made of, front to back. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  take(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) throw new RangeError('The answer of the broker is too short.')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  varint(): number {
    let [value, shift] = [0, 0]
    for (;;) {
      const [byte = 0] = this.take(1)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
      shift += 7
    }
  }

  /** Null is a length of none, as an empty text is. */
  text(): string {
    return this.take(Math.max(0, this.varint() - 1)).toString('utf8')
  }

  tags(): void {
    for (let left = this.varint(); left > 0; left -= 1) {
      this.varint()
      this.take(this.varint())
    }
  }

  list<T>(read: () => T): readonly T[] {
    return Array.from({ length: Math.max(0, this.varint() - 1) }, read)
  }
}

export function decodeTopicsAnswer(payload: Buffer): readonly TopicAnswer[] {
  const answer = new Reader(payload)
  const numbers = () => answer.list(() => answer.take(4))
  answer.tags()
  // How long to hold back.
  answer.take(4)
  answer.list(() => {
    // Number, host, port and rack of a broker.
    answer.take(4)
    answer.text()
    answer.take(4)
    answer.text()
    answer.tags()
  })
  // The id of the cluster and the number of its controller.
  answer.text()
  answer.take(4)
  return answer.list(() => {
    const errorCode = answer.take(2).readInt16BE()
    const topic = answer.text()
    const id = answer.take(ID_BYTES)
    // Whether it is one of Kafka's own.
    answer.take(1)
    answer.list(() => {
      // Code, number, leader and its epoch; then who has copies, who is in sync, who is away.
      answer.take(14)
      for (let lists = 0; lists < 3; lists += 1) numbers()
      answer.tags()
    })
    // Rights, which were not asked for.
    answer.take(4)
    answer.tags()
    return { topic, errorCode, id: id.equals(NO_ID) ? null : id.toString('base64url') }
  })
}

/**
 * The topics that are there, with their ids.
 * @throws RescoreError LOG_KAFKA_*
 */
export async function readTopicIds(
  kafka: Kafka,
  topics: readonly string[],
): Promise<ReadonlyMap<string, string | null>> {
  if (topics.length === 0) return new Map()
  const cluster = openCluster(kafka)
  try {
    await cluster.connect()
    const broker = cluster.brokerPool.seedBroker
    if (broker === undefined) throw new TypeError('Connected to no broker.')
    if ((broker.versions?.[METADATA.apiKey]?.maxVersion ?? 0) < METADATA.apiVersion) {
      return new Map(topics.map((topic) => [topic, null]))
    }
    const question = encodeTopicsQuestion(topics)
    const answers = await broker.connectionPool.send(callOf(METADATA, question, TIMEOUT_MS, decodeTopicsAnswer))
    const refused = answers.find(({ errorCode }) => errorCode !== 0 && errorCode !== UNKNOWN_TOPIC)
    if (refused !== undefined) throw new BrokerRefusal(`topic ${refused.topic}`, refused.errorCode)
    return new Map(answers.filter(({ errorCode }) => errorCode === 0).map(({ topic, id }) => [topic, id]))
  } catch (error) {
    throw kafkaError(error, 'asking for the ids of topics')
  } finally {
    await cluster.disconnect()
  }
}
