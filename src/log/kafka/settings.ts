/**
 * What the environment says about Kafka, checked once at the start.
 *
 * Invariants: no KAFKA_BROKERS means no Kafka, and nothing else is looked at; every problem is reported in one error, by
 * variable name and without its value; secrets are held as `Secret` and come from a variable or a file, never both.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { RescoreError } from '../../errors.ts'
import type { Compression } from './compress.ts'
import { DEFAULT_TYPES, type EncodeTypes } from './encode-types.ts'
import { Secret } from './secret.ts'

export type SaslSettings =
  | {
      readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
      readonly username: string
      readonly password: Secret
    }
  /** The command's output is the token: run by the shell, so it may hold secrets itself. */
  | { readonly mechanism: 'oauthbearer'; readonly tokenCommand: Secret }

export interface TlsSettings {
  /** PEM; null: the authorities Node knows. */
  readonly authority: string | null
  /** PEM, for brokers that ask clients for a certificate. */
  readonly client: { readonly certificate: string; readonly key: Secret } | null
}

export interface ConnectSettings {
  /** The topic in which Kafka Connect keeps how far its connectors are: `offset.storage.topic` of its workers. */
  readonly offsetsTopic: string
  /** Its name; null: the only one that has written for the prefix. */
  readonly connector: string | null
  /** Where Connect answers, for `doctor` alone and with the connector's name; may hold a user and a password. */
  readonly url: Secret | null
}

export interface KafkaSettings {
  /** `host:port` */
  readonly brokers: readonly string[]
  /** First part of every topic and group name. */
  readonly prefix: string
  readonly tls: TlsSettings | null
  readonly sasl: SaslSettings | null
  /** Of each topic at its creation. */
  readonly partitions: number
  /** Copies of each partition; null: one per broker, up to three. */
  readonly replication: number | null
  readonly retentionMs: number
  /** How long Rescore may be away without losing changes: retention must be longer. */
  readonly longestOutageMs: number
  /** Of the Debezium connector, where one writes the topics. */
  readonly connect: ConnectSettings
  /** How capture writes values and packs records. */
  readonly writing: { readonly compression: Compression; readonly types: EncodeTypes }
}

const HOUR_MS = 3_600_000
const address = /^(\[[0-9a-fA-F:]+\]|[^\s:,/[\]]+):\d{1,5}$/

const brokers = z
  .string()
  .transform((text) => text.split(',').map((part) => part.trim()))
  .pipe(z.array(z.string().regex(address, 'must be host:port, separated by commas')).min(1))

const count = z.coerce.number('must be a number').int('must be a whole number').min(1, 'must be at least 1')
const hours = z.coerce.number('must be a number of hours').positive('must be more than 0')
const yesNo = z
  .enum(['true', 'false', '1', '0'], 'must be true or false')
  .transform((value) => value === 'true' || value === '1')

/** Kafka takes 249 of these in a topic name; table names need the rest. */
const prefix = z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -')

const schema = z
  .object({
    KAFKA_BROKERS: brokers,
    KAFKA_PREFIX: prefix.default('rescore'),
    KAFKA_TLS: yesNo.default(false),
    KAFKA_TLS_CA_FILE: z.string().optional(),
    KAFKA_TLS_CERT_FILE: z.string().optional(),
    KAFKA_TLS_KEY_FILE: z.string().optional(),
    KAFKA_SASL: z
      .enum(['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer'], {
        error: 'must be plain, scram-sha-256, scram-sha-512 or oauthbearer',
      })
      .optional(),
    KAFKA_USERNAME: z.string().optional(),
    KAFKA_PASSWORD: z.string().optional(),
    KAFKA_PASSWORD_FILE: z.string().optional(),
    KAFKA_TOKEN_COMMAND: z.string().optional(),
    KAFKA_PARTITIONS: count.default(12),
    KAFKA_REPLICATION: count.optional(),
    KAFKA_RETENTION_HOURS: hours.default(168),
    KAFKA_LONGEST_OUTAGE_HOURS: hours.default(72),
    KAFKA_CONNECT_OFFSETS_TOPIC: z.string().default('connect-offsets'),
    KAFKA_CONNECT_CONNECTOR: z.string().optional(),
    KAFKA_CONNECT_URL: z.url('must be a URL').optional(),
    KAFKA_COMPRESSION: z.enum(['none', 'gzip', 'zstd'], 'must be none, gzip or zstd').default('none'),
    KAFKA_DECIMAL: z
      .enum(['string', 'precise', 'double'], 'must be string, precise or double')
      .default(DEFAULT_TYPES.decimal),
    KAFKA_TIME: z.enum(['adaptive', 'iso'], 'must be adaptive or iso').default(DEFAULT_TYPES.time),
  })
  .superRefine((given, context) => {
    const refuse = (variable: keyof typeof given, message: string) =>
      context.addIssue({ code: 'custom', path: [variable], message })
    for (const variable of ['KAFKA_TLS_CA_FILE', 'KAFKA_TLS_CERT_FILE', 'KAFKA_TLS_KEY_FILE'] as const) {
      if (given[variable] !== undefined && !given.KAFKA_TLS) refuse(variable, 'needs KAFKA_TLS=true')
    }
    if ((given.KAFKA_TLS_CERT_FILE === undefined) !== (given.KAFKA_TLS_KEY_FILE === undefined)) {
      refuse('KAFKA_TLS_KEY_FILE', 'goes together with KAFKA_TLS_CERT_FILE')
    }
    if (given.KAFKA_PASSWORD !== undefined && given.KAFKA_PASSWORD_FILE !== undefined) {
      refuse('KAFKA_PASSWORD_FILE', 'excludes KAFKA_PASSWORD')
    }
    if (given.KAFKA_CONNECT_URL !== undefined && given.KAFKA_CONNECT_CONNECTOR === undefined) {
      refuse('KAFKA_CONNECT_CONNECTOR', 'is needed with KAFKA_CONNECT_URL')
    }
    const hasPassword = given.KAFKA_PASSWORD !== undefined || given.KAFKA_PASSWORD_FILE !== undefined
    if (given.KAFKA_SASL === undefined) {
      for (const variable of [
        'KAFKA_USERNAME',
        'KAFKA_PASSWORD',
        'KAFKA_PASSWORD_FILE',
        'KAFKA_TOKEN_COMMAND',
      ] as const) {
        if (given[variable] !== undefined) refuse(variable, 'needs KAFKA_SASL, the way to log in')
      }
    } else if (given.KAFKA_SASL === 'oauthbearer') {
      if (given.KAFKA_TOKEN_COMMAND === undefined) refuse('KAFKA_TOKEN_COMMAND', 'is needed for KAFKA_SASL=oauthbearer')
    } else {
      if (given.KAFKA_USERNAME === undefined) refuse('KAFKA_USERNAME', `is needed for KAFKA_SASL=${given.KAFKA_SASL}`)
      if (!hasPassword) refuse('KAFKA_PASSWORD', `or KAFKA_PASSWORD_FILE is needed for KAFKA_SASL=${given.KAFKA_SASL}`)
    }
  })

type Given = z.infer<typeof schema>

function unusable(problems: readonly string[], variables: readonly string[], cause?: unknown): RescoreError {
  return new RescoreError({
    code: 'CONFIG_KAFKA',
    fate: 'stop',
    message: `The Kafka settings are not usable: ${problems.join('; ')}.`,
    mend: `Set ${[...new Set(variables)].join(', ')} as described, or unset them.`,
    cause,
  })
}

function readText(variable: string, file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw unusable([`${variable}: the file cannot be read (${reason})`], [variable], error)
  }
}

function tlsOf(given: Given): TlsSettings | null {
  if (!given.KAFKA_TLS) return null
  const { KAFKA_TLS_CA_FILE: authority, KAFKA_TLS_CERT_FILE: certificate, KAFKA_TLS_KEY_FILE: key } = given
  return {
    authority: authority === undefined ? null : readText('KAFKA_TLS_CA_FILE', authority),
    client:
      certificate === undefined || key === undefined
        ? null
        : {
            certificate: readText('KAFKA_TLS_CERT_FILE', certificate),
            key: new Secret(readText('KAFKA_TLS_KEY_FILE', key)),
          },
  }
}

function saslOf(given: Given): SaslSettings | null {
  const { KAFKA_SASL: mechanism, KAFKA_PASSWORD_FILE: file } = given
  if (mechanism === undefined) return null
  if (mechanism === 'oauthbearer') return { mechanism, tokenCommand: new Secret(given.KAFKA_TOKEN_COMMAND ?? '') }
  // Editors end a file with a line break that is no part of the password.
  const password =
    file === undefined ? (given.KAFKA_PASSWORD ?? '') : readText('KAFKA_PASSWORD_FILE', file).replace(/\r?\n$/, '')
  return { mechanism, username: given.KAFKA_USERNAME ?? '', password: new Secret(password) }
}

/**
 * Null when KAFKA_BROKERS is not set: the embedded log is used.
 * @throws RescoreError CONFIG_KAFKA naming every variable that is wrong
 */
export function readKafkaSettings(variables: Readonly<Record<string, string | undefined>>): KafkaSettings | null {
  // An empty variable is how shells and compose files say "not set".
  const given = Object.fromEntries(Object.entries(variables).filter(([, value]) => value !== ''))
  if (given.KAFKA_BROKERS === undefined) return null
  const parsed = schema.safeParse(given)
  if (!parsed.success) {
    const { issues } = parsed.error
    throw unusable(
      issues.map((issue) => `${String(issue.path[0])}: ${issue.message}`),
      issues.map((issue) => String(issue.path[0])),
    )
  }
  const { data } = parsed
  return {
    brokers: data.KAFKA_BROKERS,
    prefix: data.KAFKA_PREFIX,
    tls: tlsOf(data),
    sasl: saslOf(data),
    partitions: data.KAFKA_PARTITIONS,
    replication: data.KAFKA_REPLICATION ?? null,
    retentionMs: Math.round(data.KAFKA_RETENTION_HOURS * HOUR_MS),
    longestOutageMs: Math.round(data.KAFKA_LONGEST_OUTAGE_HOURS * HOUR_MS),
    connect: {
      offsetsTopic: data.KAFKA_CONNECT_OFFSETS_TOPIC,
      connector: data.KAFKA_CONNECT_CONNECTOR ?? null,
      url: data.KAFKA_CONNECT_URL === undefined ? null : new Secret(data.KAFKA_CONNECT_URL),
    },
    writing: { compression: data.KAFKA_COMPRESSION, types: { decimal: data.KAFKA_DECIMAL, time: data.KAFKA_TIME } },
  }
}
