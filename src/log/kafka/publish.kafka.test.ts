/** Our own produce requests: over every way to reach a broker, and read by Kafka's own Java client. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { KAFKA_VERSIONS } from '../../../test/support/kafka/archives.ts'
import { type KafkaBroker, startBroker } from '../../../test/support/kafka/broker.ts'
import { readByJava } from '../../../test/support/kafka/java-reader.ts'
import { describeKafka, describeWithJava, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { sleep } from '../../db/backoff.ts'
import { withAdmin } from './admin.ts'
import { createKafka } from './client.ts'
import type { Compression } from './compress.ts'
import { ByteWriter } from './encode-bytes.ts'
import { writeHeader, writeVarint } from './envelope.ts'
import { Publisher } from './publish.ts'
import { partitionOf } from './publish-partition.ts'
import type { KafkaSettings } from './settings.ts'

const PARTITIONS = 3
const client = { log: { warn: () => undefined }, role: 'test', patience: 'command' } as const

interface MadeRecord {
  readonly key: string | null
  readonly value: string | null
  readonly header: string
}

async function createTopic(settings: KafkaSettings): Promise<string> {
  const topic = `${settings.prefix}.published`
  await withAdmin(settings, client, 'making a topic', async (admin) => {
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }],
    })
    // Named as the leader, a broker may still say for a moment that it is not.
    await eventually(() => admin.fetchTopicOffsets(topic))
  })
  return topic
}

function add(publisher: Publisher, { key, value, header }: MadeRecord): void {
  const [keyBytes, rest] = [new ByteWriter(), new ByteWriter()]
  if (key !== null) keyBytes.raw(Buffer.from(key))
  if (value !== null) rest.raw(Buffer.from(value))
  const valueBytes = value === null ? -1 : rest.at
  writeVarint(rest, 1)
  writeHeader(rest, 'test.header', Buffer.from(header))
  const place = key === null ? 0 : partitionOf(keyBytes.bytes, keyBytes.at, PARTITIONS)
  publisher.add(place, key === null ? null : keyBytes, valueBytes, rest)
}

/** Publishes in rounds, each after the one before is acknowledged. Returns the errors met on the way. */
async function publish(
  settings: KafkaSettings,
  topic: string,
  rounds: readonly (readonly MadeRecord[])[],
  { compression = 'none', everyMs = 0 }: { readonly compression?: Compression; readonly everyMs?: number } = {},
): Promise<readonly unknown[]> {
  const ending = new AbortController()
  const errors: unknown[] = []
  let told = Promise.withResolvers<void>()
  const publisher = new Publisher({
    kafka: createKafka(settings, { ...client, patience: 'service' }),
    topics: [topic],
    compression,
    signal: ending.signal,
    onError: (error) => errors.push(error),
    onRefused: async ({ record }) => record,
    onProgress: () => told.resolve(),
  })
  await publisher.connect()
  const running = publisher.run()
  for (const round of rounds) {
    for (const record of round) add(publisher, record)
    publisher.flush()
    while (publisher.bytes > 0) {
      await Promise.race([told.promise, running])
      told = Promise.withResolvers<void>()
    }
    await sleep(everyMs)
  }
  ending.abort(new Error('All is published.'))
  await running
  return errors
}

/** A broker that has just started gives no identities for a moment, which is an error that is tried again. */
async function untilIdentities(settings: KafkaSettings): Promise<void> {
  const topic = await createTopic({ ...settings, prefix: `${settings.prefix}.first` })
  await publish(settings, topic, [[{ key: null, value: '', header: '' }]])
}

describeKafka('published records', ({ version, brokers }) => {
  test.each(['none', 'gzip', 'zstd'] as const)(
    "Kafka's own Java client reads every key, value and header with compression %s",
    async (compression) => {
      const settings = kafkaSettings({ KAFKA_BROKERS: brokers })
      await untilIdentities(settings)
      const topic = await createTopic(settings)
      const records = Array.from({ length: 3_000 }, (_none, index) => ({
        key: index % 10 === 0 ? null : `{"id":${index % 97}}`,
        value: index % 7 === 0 ? null : `{"n":${index},"text":"${'é"x'.repeat(index % 50)}"}`,
        header: `h${index}`,
      }))
      const rounds = [records.slice(0, 1), records.slice(1, 1_500), records.slice(1_500)]
      expect(await publish(settings, topic, rounds, { compression })).toEqual([])
      const archive = KAFKA_VERSIONS.find((each) => each === version) ?? '4.4.0'
      const found = await readByJava(archive, brokers, topic)
      const laneOf = (key: string | null) =>
        key === null ? 0 : partitionOf(Buffer.from(key), Buffer.byteLength(key), PARTITIONS)
      for (let partition = 0; partition < PARTITIONS; partition += 1) {
        const expected = records.filter(({ key }) => laneOf(key) === partition)
        const lane = found.filter((each) => each.partition === partition)
        expect(lane.map(({ offset }) => offset)).toEqual(expected.map((_record, index) => index))
        expect(lane.map(({ key, value, headers }) => ({ key, value, header: headers['test.header'] }))).toEqual(
          expected,
        )
      }
    },
  )
})

describeWithJava('publishing over', () => {
  const user = { username: 'alice', password: 'canary-7f3a9' }
  let broker: KafkaBroker
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rescore-kafka-publish-'))
    broker = await startBroker({
      listeners: ['TLS', 'MUTUAL', 'SASL', 'SASL_TLS'],
      user,
      // A login lasts 12 s, and is renewed 10 s before it ends.
      settings: { 'connections.max.reauth.ms': '12000' },
    })
    await untilIdentities(kafkaSettings({ KAFKA_BROKERS: broker.brokers }))
  })
  afterAll(async () => {
    await broker[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  async function publishOver(
    variables: Readonly<Record<string, string>>,
    { rounds = 3, everyMs = 0 }: { readonly rounds?: number; readonly everyMs?: number } = {},
  ): Promise<void> {
    const settings = kafkaSettings(variables)
    const clear = { ...settings, brokers: [broker.brokers], tls: null, sasl: null }
    const topic = await createTopic(clear)
    const made = Array.from({ length: rounds }, (_none, index) => [{ key: `${index}`, value: 'v', header: 'h' }])
    expect(await publish(settings, topic, made, { everyMs })).toEqual([])
    const offsets = await withAdmin(clear, client, 'counting', (admin) => admin.fetchTopicOffsets(topic))
    expect(offsets.reduce((sum, { high }) => sum + Number(high), 0)).toBe(rounds)
  }

  const trusted = () => ({ KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: broker.certificates?.authority ?? '' })
  const login = (mechanism: string) => ({
    KAFKA_SASL: mechanism,
    KAFKA_USERNAME: user.username,
    KAFKA_PASSWORD: user.password,
  })

  test('TLS, and TLS with a certificate of its own', async () => {
    const { clientCertificate = '', clientKey = '' } = broker.certificates ?? {}
    const shown = { KAFKA_TLS_CERT_FILE: clientCertificate, KAFKA_TLS_KEY_FILE: clientKey }
    await publishOver({ KAFKA_BROKERS: broker.at('TLS'), ...trusted() })
    await publishOver({ KAFKA_BROKERS: broker.at('MUTUAL'), ...trusted(), ...shown })
  })

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('%s, in clear text and over TLS', async (mechanism) => {
    await publishOver({ KAFKA_BROKERS: broker.at('SASL'), ...login(mechanism) })
    await publishOver({ KAFKA_BROKERS: broker.at('SASL_TLS'), ...trusted(), ...login(mechanism) })
  })

  test('a token, for longer than a login is used', async () => {
    const seconds = Math.floor(Date.now() / 1_000)
    const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url')
    const token = `${part({ alg: 'none' })}.${part({ sub: 'alice', iat: seconds - 60, exp: seconds + 3_600 })}.`
    const file = join(folder, 'token')
    await writeFile(file, token)
    const oauth = { KAFKA_SASL: 'oauthbearer', KAFKA_TOKEN_COMMAND: `cat ${file}` }
    await publishOver({ KAFKA_BROKERS: broker.at('SASL'), ...oauth }, { rounds: 7, everyMs: 500 })
  })
})
