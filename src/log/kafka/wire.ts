/**
 * Requests of our own making over kafkajs's connections, for what kafkajs does not speak.
 *
 * The cluster behind its producer is taken by the name of its maker, and its shape is checked: the version is pinned, and
 * another one is refused, not guessed at. Invariant: nothing of the cluster is used that is not named here.
 */
import type { Kafka } from 'kafkajs'
import { RescoreError } from '../../errors.ts'

interface Encoded {
  readonly buf: Buffer
  readonly buffer: Buffer
  size(): number
}

interface ProtocolCall<Answer> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    expectResponse(): boolean
    encode(): Promise<Encoded>
  }
  readonly response: { decode(payload: Buffer): Promise<Answer>; parse(answer: Answer): Promise<Answer> }
  readonly requestTimeout: number
}

interface KafkaBroker {
  /** By the key of the call; null before it is connected. */
  readonly versions: Readonly<Record<number, { readonly maxVersion: number } | undefined>> | null
  readonly connectionPool: { send<Answer>(call: ProtocolCall<Answer>): Promise<Answer> }
}

/** What of kafkajs's cluster is used. */
export interface KafkaCluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(options: { nodeId: number }): Promise<KafkaBroker>
  findControllerBroker(): Promise<KafkaBroker>
  /** Its first broker is connected once `connect` has resolved. */
  readonly brokerPool: { readonly seedBroker?: KafkaBroker }
}

const CLUSTER_METHODS = [
  'connect',
  'disconnect',
  'addMultipleTargetTopics',
  'refreshMetadata',
  'refreshMetadataIfNecessary',
  'findTopicPartitionMetadata',
  'findBroker',
  'findControllerBroker',
] as const

function isCluster(value: unknown): value is KafkaCluster {
  return (
    typeof value === 'object' &&
    value !== null &&
    CLUSTER_METHODS.every((name) => typeof Reflect.get(value, name) === 'function') &&
    typeof Reflect.get(value, 'brokerPool') === 'object'
  )
}

/** Not connected yet. @throws RescoreError LOG_KAFKA_CLIENT */
export function openCluster(kafka: Kafka): KafkaCluster {
  const maker = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  )
  const make: unknown = maker === undefined ? undefined : Reflect.get(kafka, maker)
  const cluster: unknown =
    typeof make === 'function' ? make({ metadataMaxAge: 60_000, allowAutoTopicCreation: false }) : undefined
  if (isCluster(cluster)) return cluster
  throw new RescoreError({
    code: 'LOG_KAFKA_CLIENT',
    fate: 'stop',
    message: 'The installed kafkajs is not the version that this program is built on.',
    mend: 'Install the version of kafkajs that package-lock.json names.',
  })
}

export function callOf<Answer>(
  api: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string },
  payload: Buffer,
  requestTimeout: number,
  decode: (payload: Buffer) => Answer,
): ProtocolCall<Answer> {
  return {
    request: {
      ...api,
      expectResponse: () => true,
      encode: async () => ({ buf: payload, buffer: payload, size: () => payload.length }),
    },
    response: { decode: async (bytes) => decode(bytes), parse: async (decoded) => decoded },
    requestTimeout,
  }
}
