/**
 * The one place that makes a kafkajs client, and the one that imports its values.
 *
 * Invariants: kafkajs is CommonJS of which only some names can be imported by name, so everything is taken from the
 * default import here; its own words go through `bridge`, which passes on named fields only, with every known secret
 * struck out, and nothing below a warning, whatever KAFKAJS_LOG_LEVEL says.
 */
import type { ConnectionOptions } from 'node:tls'
import kafkajs, {
  type Consumer,
  type ConsumerConfig,
  type Kafka,
  type KafkaConfig,
  type logCreator,
  type RetryOptions,
} from 'kafkajs'
import { type OnMembership, watchMembership } from './membership.ts'
import type { KafkaSettings, SaslSettings, TlsSettings } from './settings.ts'
import { createTokenSource, oauthMechanism } from './token.ts'

/** Where kafkajs's warnings go: pino, a test's list, nowhere. */
export interface KafkaLogSink {
  warn(fields: object, message: string): void
}

export const { CompressionTypes, CompressionCodecs, ConfigResourceTypes, Partitioners } = kafkajs
/** murmur2 of the key, as Java's producer, so that a key's records meet in one partition whoever wrote them. */
export const { DefaultPartitioner } = Partitioners

const CONNECTION_TIMEOUT_MS = 3_000
const REQUEST_TIMEOUT_MS = 30_000
/** More than the token command may take. */
const AUTHENTICATION_TIMEOUT_MS = 20_000
const RENEW_EARLY_MS = 10_000

/** `service`: repeats for about half a minute before the caller is asked. `command`: someone waits at a terminal. */
export const RETRIES: Readonly<Record<'service' | 'command', RetryOptions>> = {
  service: { initialRetryTime: 100, maxRetryTime: 5_000, retries: 8 },
  command: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 2 },
}

export interface ClientOptions {
  readonly log: KafkaLogSink
  /** Shown by the broker's tools: `rescore-<role>`. */
  readonly role: string
  readonly patience?: keyof typeof RETRIES
  readonly onMembership?: OnMembership
}

/** What of a line of kafkajs may be passed on. */
const FIELDS = ['broker', 'clientId', 'groupId', 'memberId', 'topic', 'partition', 'error', 'retryCount', 'retryTime']

function secretsOf(settings: KafkaSettings): readonly string[] {
  const { sasl, tls } = settings
  const held = sasl === null ? [] : [sasl.mechanism === 'oauthbearer' ? sasl.tokenCommand : sasl.password]
  if (tls?.client) held.push(tls.client.key)
  return held.map((secret) => secret.reveal()).filter((value) => value !== '')
}

function bridge(settings: KafkaSettings, { log }: ClientOptions): logCreator {
  const secrets = secretsOf(settings)
  const clean = (text: string) => secrets.reduce((rest, secret) => rest.replaceAll(secret, '[hidden]'), text)
  return () =>
    ({ level, namespace, log: line }) => {
      if (level > kafkajs.logLevel.WARN) return
      const named = FIELDS.flatMap((name) => {
        const value: unknown = line[name]
        if (typeof value === 'string') return [[name, clean(value)]]
        return typeof value === 'number' ? [[name, value]] : []
      })
      log.warn({ part: namespace, ...Object.fromEntries(named) }, `Kafka client: ${clean(line.message)}`)
    }
}

export function tlsOptions(tls: TlsSettings): ConnectionOptions {
  return {
    ...(tls.authority === null ? {} : { ca: [tls.authority] }),
    ...(tls.client === null ? {} : { cert: tls.client.certificate, key: tls.client.key.reveal() }),
  }
}

function saslOptions(sasl: SaslSettings): NonNullable<KafkaConfig['sasl']> {
  if (sasl.mechanism === 'oauthbearer') {
    return oauthMechanism(createTokenSource(sasl.tokenCommand))
  }
  const { username, mechanism } = sasl
  const password = sasl.password.reveal()
  // Told apart for the types of kafkajs, which know no mechanism that is one of several.
  if (mechanism === 'plain') return { mechanism, username, password }
  return mechanism === 'scram-sha-256' ? { mechanism, username, password } : { mechanism, username, password }
}

/** A client whose consumers tell of their membership. */
class WatchedKafka extends kafkajs.Kafka {
  readonly #onMembership: OnMembership
  /** By group: the consumer made last. One that was given up may end long after the next has joined. */
  readonly #current = new Map<string, Consumer>()

  constructor(config: KafkaConfig, onMembership: OnMembership) {
    super(config)
    this.#onMembership = onMembership
  }

  override consumer(config: ConsumerConfig): Consumer {
    const consumer = super.consumer(config)
    this.#current.set(config.groupId, consumer)
    watchMembership(consumer, (assigned) => {
      if (this.#current.get(config.groupId) === consumer) this.#onMembership(config.groupId, assigned)
    })
    return consumer
  }
}

/** A client that has not connected yet; producers, consumers and admins made from it share its settings. */
export function createKafka(settings: KafkaSettings, options: ClientOptions): Kafka {
  const config: KafkaConfig = {
    clientId: `rescore-${options.role}`,
    brokers: [...settings.brokers],
    ssl: settings.tls === null ? false : tlsOptions(settings.tls),
    ...(settings.sasl === null ? {} : { sasl: saslOptions(settings.sasl) }),
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    reauthenticationThreshold: RENEW_EARLY_MS,
    retry: RETRIES[options.patience ?? 'service'],
    logLevel: kafkajs.logLevel.WARN,
    logCreator: bridge(settings, options),
  }
  const { onMembership } = options
  return onMembership === undefined ? new kafkajs.Kafka(config) : new WatchedKafka(config, onMembership)
}
