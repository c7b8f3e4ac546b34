/**
 * Produce requests over kafkajs's own connections: its brokers, TLS, login and metadata; our bytes, because kafkajs offers
 * no way to send record batches that exist already.
 *
 * Invariants: version 7 of the request, which every broker from 2.1 to 4.x serves; each partition's answer is told apart,
 * so that only what was refused is sent again; a connection that timed out is closed, because a late answer means nothing.
 */
import type { Kafka } from 'kafkajs'
import { callOf, openCluster } from './wire.ts'

export interface ProducedPartition {
  readonly topic: string
  readonly partition: number
  /** 0: appended and replicated. */
  readonly errorCode: number
}

export interface PartitionBytes {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

interface ProduceAnswer {
  readonly partitions: readonly ProducedPartition[]
  readonly clientSideThrottleTime: number
}

export interface ProducerAnswer {
  /** 0: the producer has an identity. */
  readonly errorCode: number
  readonly producerId: bigint
  readonly epoch: number
}

const PRODUCE = { apiKey: 0, apiVersion: 7, apiName: 'Produce' }
const INIT_PRODUCER = { apiKey: 22, apiVersion: 1, apiName: 'InitProducerId' }
const ALL_REPLICAS = -1

/**
 * The body of a Produce request: topic by topic, partition by partition. kafkajs copies it before `send` returns to its
 * caller's next tick, so one buffer serves a connection.
 */
class RequestBody {
  #bytes = Buffer.alloc(0)

  encode(parts: readonly PartitionBytes[], timeoutMs: number): Buffer {
    const topics = Map.groupBy(parts, ({ topic }) => topic)
    const names = [...topics.keys()].reduce((sum, topic) => sum + Buffer.byteLength(topic) + 6, 0)
    const size = 12 + names + parts.reduce((sum, { batch }) => sum + 8 + batch.length, 0)
    if (size > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(size + size / 2)
    const bytes = this.#bytes
    // No transaction.
    let at = bytes.writeInt16BE(-1, 0)
    at = bytes.writeInt16BE(ALL_REPLICAS, at)
    at = bytes.writeInt32BE(timeoutMs, at)
    at = bytes.writeInt32BE(topics.size, at)
    for (const [topic, partitions] of topics) {
      const length = bytes.write(topic, at + 2)
      bytes.writeInt16BE(length, at)
      at = bytes.writeInt32BE(partitions.length, at + 2 + length)
      for (const { partition, batch } of partitions) {
        at = bytes.writeInt32BE(partition, at)
        at = bytes.writeInt32BE(batch.length, at)
        at += batch.copy(bytes, at)
      }
    }
    return bytes.subarray(0, at)
  }
}

function decodeProduced(payload: Buffer): ProduceAnswer {
  let at = 0
  const int32 = () => {
    at += 4
    return payload.readInt32BE(at - 4)
  }
  const partitions: ProducedPartition[] = []
  for (let topics = int32(); topics > 0; topics -= 1) {
    const length = payload.readInt16BE(at)
    const topic = payload.toString('utf8', at + 2, at + 2 + length)
    at += 2 + length
    for (let count = int32(); count > 0; count -= 1) {
      const partition = int32()
      partitions.push({ topic, partition, errorCode: payload.readInt16BE(at) })
      // Behind the code: base offset, append time, start of the log.
      at += 26
    }
  }
  return { partitions, clientSideThrottleTime: int32() }
}

/** No transaction and its time-out; the answer is throttle time, code, id and epoch. */
const INIT_PRODUCER_BODY = Buffer.from([0xff, 0xff, 0, 0, 0xea, 0x60])

function decodeProducer(payload: Buffer): ProducerAnswer {
  return { errorCode: payload.readInt16BE(4), producerId: payload.readBigInt64BE(6), epoch: payload.readInt16BE(14) }
}

export interface ProduceWire {
  /** Number of partitions of each topic. @throws kafkajs's errors */
  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Leader of each partition as the metadata says; null: none now. */
  leaderOf(topic: string, partition: number): number | null
  /** Asks the brokers anew who leads what. */
  refresh(): Promise<void>
  /** An identity by which brokers know a batch that is sent again. */
  initProducer(): Promise<ProducerAnswer>
  /** One request to one broker, answered after all in-sync replicas have it. */
  produce(leader: number, parts: readonly PartitionBytes[]): Promise<readonly ProducedPartition[]>
  close(): Promise<void>
}

export async function openWire(kafka: Kafka, requestTimeoutMs: number): Promise<ProduceWire> {
  const cluster = openCluster(kafka)
  await cluster.connect()
  // Requests to two brokers are encoded side by side.
  const bodies = new Map<number, RequestBody>()
  return {
    partitionCounts: async (topics) => {
      await cluster.addMultipleTargetTopics(topics)
      return new Map(topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).length]))
    },
    leaderOf: (topic, partition) => {
      const found = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)
      return found === undefined || found.leader < 0 ? null : found.leader
    },
    refresh: () => cluster.refreshMetadata(),
    initProducer: async () => {
      const broker = await cluster.findControllerBroker()
      return broker.connectionPool.send(callOf(INIT_PRODUCER, INIT_PRODUCER_BODY, requestTimeoutMs, decodeProducer))
    },
    produce: async (leader, parts) => {
      const broker = await cluster.findBroker({ nodeId: leader })
      const body = bodies.get(leader) ?? new RequestBody()
      bodies.set(leader, body)
      const payload = body.encode(parts, requestTimeoutMs)
      const answer = await broker.connectionPool.send(callOf(PRODUCE, payload, requestTimeoutMs, decodeProduced))
      return answer.partitions
    },
    close: () => cluster.disconnect(),
  }
}
