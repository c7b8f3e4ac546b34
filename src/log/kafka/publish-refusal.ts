/** What a broker's refusal means for the batch: the error codes of Kafka's protocol that an answer to Produce may hold. */

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
  14: 'GROUP_LOAD_IN_PROGRESS',
  17: 'INVALID_TOPIC_EXCEPTION',
  18: 'RECORD_LIST_TOO_LARGE',
  19: 'NOT_ENOUGH_REPLICAS',
  20: 'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  29: 'TOPIC_AUTHORIZATION_FAILED',
  31: 'CLUSTER_AUTHORIZATION_FAILED',
  45: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
  56: 'KAFKA_STORAGE_ERROR',
  59: 'UNKNOWN_PRODUCER_ID',
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

export const partitionNamed = (topic: string, partition: number): string => `partition ${partition} of ${topic}`

/** A broker's error code as an error that `kafkaError` can explain. */
export class BrokerRefusal extends Error {
  readonly type: string
  readonly errorCode: number

  /** @param what as the subject of a sentence */
  constructor(what: string, errorCode: number) {
    super(`${what} was refused with code ${errorCode}`)
    this.name = 'BrokerRefusal'
    this.errorCode = errorCode
    this.type = NAMES[errorCode] ?? `CODE_${errorCode}`
  }
}
