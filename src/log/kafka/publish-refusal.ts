/** What a broker's answer for one partition means for the batch: the error codes of Kafka's protocol that Produce knows. */

/** Names as kafkajs has them, for src/log/kafka/errors.ts. */
const NAMES: Readonly<Record<number, string>> = {
  2: 'CORRUPT_MESSAGE',
  3: 'UNKNOWN_TOPIC_OR_PARTITION',
  5: 'LEADER_NOT_AVAILABLE',
  6: 'NOT_LEADER_FOR_PARTITION',
  7: 'REQUEST_TIMED_OUT',
  9: 'REPLICA_NOT_AVAILABLE',
  10: 'MESSAGE_TOO_LARGE',
  13: 'NETWORK_EXCEPTION',
  17: 'INVALID_TOPIC_EXCEPTION',
  18: 'RECORD_LIST_TOO_LARGE',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  56: 'KAFKA_STORAGE_ERROR',
  74: 'FENCED_LEADER_EPOCH',
  76: 'UNSUPPORTED_COMPRESSION_TYPE',
  87: 'INVALID_RECORD',
}

const TOO_LARGE = new Set([10, 18])
/** Also what a broker says that has not yet heard of a topic made a moment ago. */
export const UNKNOWN_TOPIC = 3

export function isTooLarge(errorCode: number): boolean {
  return TOO_LARGE.has(errorCode)
}

/** A broker's error code as an error that `kafkaError` can explain. */
export class BrokerRefusal extends Error {
  readonly type: string
  readonly errorCode: number

  constructor(topic: string, partition: number, errorCode: number) {
    super(`partition ${partition} of ${topic} was refused with code ${errorCode}`)
    this.name = 'BrokerRefusal'
    this.errorCode = errorCode
    this.type = NAMES[errorCode] ?? `CODE_${errorCode}`
  }
}
