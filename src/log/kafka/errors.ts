/**
 * Errors of kafkajs in our own words: a code, a fate and a mend for each.
 *
 * Invariants: an error of ours inside one of theirs (a token command that failed) comes out as it went in; kafkajs wraps
 * what it gave up on, so the whole chain of causes is searched and the innermost known reason decides; a change is never
 * dropped, so nothing here is `dead-letter`: what a broker refuses for good stops the process.
 */
import { asError, type Fate, isRescoreError, RescoreError } from '../../errors.ts'

interface Meaning {
  /** Error codes of Kafka's protocol, as kafkajs names them in `type`. */
  readonly types?: readonly string[]
  /** Classes of kafkajs. */
  readonly names?: readonly string[]
  /** Codes of sockets and TLS. */
  readonly socket?: RegExp
  readonly code: string
  readonly fate: Fate
  readonly what: string
  readonly mend: string
}

const LOGIN = {
  code: 'LOG_KAFKA_AUTH',
  fate: 'stop',
  what: 'the broker refused the login',
  mend: 'Check KAFKA_SASL, KAFKA_USERNAME and KAFKA_PASSWORD (or KAFKA_TOKEN_COMMAND) against the users of the brokers.',
} as const

const MEANINGS: readonly Meaning[] = [
  {
    names: ['KafkaJSSASLAuthenticationError'],
    types: ['SASL_AUTHENTICATION_FAILED', 'UNSUPPORTED_SASL_MECHANISM'],
    ...LOGIN,
  },
  {
    socket: /CERT|SSL|TLS|SELF_SIGNED|UNABLE_TO_/,
    code: 'LOG_KAFKA_TLS',
    fate: 'stop',
    what: 'the TLS connection to the broker failed',
    mend: 'Check KAFKA_TLS_CA_FILE, that the name in KAFKA_BROKERS stands in the certificate, and KAFKA_TLS_CERT_FILE if the broker asks for one.',
  },
  {
    types: ['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'],
    code: 'LOG_KAFKA_DENIED',
    fate: 'stop',
    what: 'the user may not do this',
    mend: 'Grant it (docs/kafka.md, "Security", lists the rights of each process).',
  },
  {
    types: ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE'],
    code: 'LOG_KAFKA_TOO_LARGE',
    fate: 'stop',
    what: 'the topic takes no records this large',
    mend: 'Raise max.message.bytes of the topic (rescore topics --apply, if it is below what is declared) and start again.',
  },
  {
    types: ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION', 'UNKNOWN_TOPIC_ID'],
    names: ['KafkaJSTopicMetadataNotLoaded'],
    code: 'LOG_KAFKA_UNKNOWN_TOPIC',
    fate: 'stop',
    what: 'the topic does not exist',
    mend: 'rescore topics --apply; if it was deleted while Rescore ran, its changes are gone: rescore resync --yes after it.',
  },
  {
    types: ['OFFSET_OUT_OF_RANGE'],
    names: ['KafkaJSOffsetOutOfRange'],
    code: 'LOG_KAFKA_RECORDS_GONE',
    fate: 'stop',
    what: 'the next record to read is no longer in the topic',
    mend: 'Changes were removed by retention before they were read: rescore resync --yes, and a longer retention.ms.',
  },
  {
    types: ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'],
    code: 'LOG_KAFKA_REPLICAS',
    fate: 'retry',
    what: 'too few brokers hold the partition for a safe write',
    mend: 'Bring the missing brokers back; writing goes on by itself. Until then changes wait in PostgreSQL.',
  },
  {
    types: ['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION', 'UNKNOWN_MEMBER_ID', 'NOT_COORDINATOR_FOR_GROUP'],
    code: 'LOG_KAFKA_REBALANCE',
    fate: 'retry',
    what: 'the partitions are being shared out again',
    mend: 'Nothing: the worker joins again by itself. If it happens all the time, a batch takes longer than the session lasts.',
  },
  {
    types: ['INVALID_PRODUCER_EPOCH', 'TRANSACTION_COORDINATOR_FENCED', 'FENCED_INSTANCE_ID'],
    code: 'LOG_KAFKA_FENCED',
    fate: 'stop',
    what: 'another process has taken over',
    mend: 'Run one process with this identity.',
  },
  {
    types: ['UNSUPPORTED_VERSION', 'UNSUPPORTED_FOR_MESSAGE_FORMAT'],
    names: ['KafkaJSServerDoesNotSupportApiKey'],
    code: 'LOG_KAFKA_VERSION',
    fate: 'stop',
    what: 'the broker does not speak a version of the protocol that is needed',
    mend: 'Use Kafka 2.1 or newer; rescore doctor says which call is missing.',
  },
  {
    types: ['POLICY_VIOLATION', 'INVALID_CONFIG', 'INVALID_REPLICATION_FACTOR', 'INVALID_PARTITIONS', 'INVALID_RECORD'],
    code: 'LOG_KAFKA_REFUSED',
    fate: 'stop',
    what: 'the broker refused the request',
    mend: 'Its words say why; KAFKA_PARTITIONS, KAFKA_REPLICATION and KAFKA_RETENTION_HOURS set what topics are made with.',
  },
  {
    names: ['KafkaJSNotImplemented'],
    code: 'LOG_KAFKA_CODEC',
    fate: 'stop',
    what: 'the records are compressed in a way that cannot be read here',
    mend: 'Let the writer of the topic use gzip, zstd or none.',
  },
  {
    names: [
      'KafkaJSConnectionError',
      'KafkaJSConnectionClosedError',
      'KafkaJSRequestTimeoutError',
      'KafkaJSNoBrokerAvailableError',
      'KafkaJSBrokerNotFound',
      'KafkaJSGroupCoordinatorNotFound',
      'KafkaJSLockTimeout',
      'KafkaJSMetadataNotLoaded',
    ],
    types: [
      'LEADER_NOT_AVAILABLE',
      'NOT_LEADER_FOR_PARTITION',
      'BROKER_NOT_AVAILABLE',
      'REQUEST_TIMED_OUT',
      'NETWORK_EXCEPTION',
      'GROUP_COORDINATOR_NOT_AVAILABLE',
      'GROUP_LOAD_IN_PROGRESS',
      'NOT_CONTROLLER',
      'KAFKA_STORAGE_ERROR',
      'ILLEGAL_SASL_STATE',
    ],
    socket: /^E(CONN|HOST|NET|TIMEDOUT|NOTFOUND|PIPE|AI_AGAIN)/,
    code: 'LOG_KAFKA_UNREACHABLE',
    fate: 'retry',
    what: 'the brokers cannot be reached',
    mend: 'Check KAFKA_BROKERS, that the brokers run, and that KAFKA_TLS and KAFKA_SASL are what this port expects.',
  },
]

export function loginRefused(reason: string): RescoreError {
  const { code, fate, what, mend } = LOGIN
  return new RescoreError({ code, fate, message: `Kafka: ${what} (${reason}).`, mend })
}

function textOf(error: Error, name: 'type' | 'code'): string | null {
  const value: unknown = Reflect.get(error, name)
  return typeof value === 'string' ? value : null
}

/** The error, what it was caused by, and the parts of what stands for several; innermost last. */
function chain(error: Error): readonly Error[] {
  const found: Error[] = []
  const visit = (value: unknown): void => {
    if (!(value instanceof Error) || found.includes(value)) return
    found.push(value)
    visit(value.cause)
    const parts: unknown = Reflect.get(value, 'errors')
    if (Array.isArray(parts)) for (const part of parts) visit(part)
  }
  visit(error)
  return found
}

function meaningOf(error: Error): Meaning | undefined {
  const type = textOf(error, 'type')
  const code = textOf(error, 'code')
  return (
    MEANINGS.find(({ types }) => type !== null && types?.includes(type)) ??
    MEANINGS.find(({ socket }) => code !== null && socket?.test(code)) ??
    MEANINGS.find(({ names }) => names?.includes(error.name))
  )
}

/**
 * @param doing what was tried, to follow "Kafka:", as in `publishing to crm.public.company`
 * @param context identifiers only
 */
export function kafkaError(
  thrown: unknown,
  doing: string,
  context: Readonly<Record<string, unknown>> = {},
): RescoreError {
  const error = asError(thrown)
  const parts = chain(error)
  const own = parts.find(isRescoreError)
  if (own !== undefined) return own
  const [reason, meaning] = parts
    .toReversed()
    .map((part) => [part, meaningOf(part)] as const)
    .find(([, found]) => found !== undefined) ?? [parts.at(-1) ?? error, undefined]
  const said = [textOf(reason, 'type'), reason.message].filter((part) => part !== null && part !== '').join(': ')
  const isFinal = parts.some(
    (part) => Reflect.get(part, 'retriable') === false && part.name !== 'KafkaJSNumberOfRetriesExceeded',
  )
  return new RescoreError({
    code: meaning?.code ?? 'LOG_KAFKA_FAILED',
    fate: meaning?.fate ?? (isFinal ? 'stop' : 'retry'),
    message: `Kafka, ${doing}: ${meaning === undefined ? 'it failed' : meaning.what} (${said}).`,
    mend: meaning?.mend ?? 'See the message of the client; rescore doctor checks the set-up.',
    cause: error,
    context,
  })
}
