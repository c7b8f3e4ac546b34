/**
 * The rights that docs/kafka.md, "Security", lists for each kind of process are enough, on a broker that grants nothing
 * else: the user is who the client's certificate says, and everybody on the clear-text port may do everything.
 */
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { type KafkaBroker, startBroker } from '../../../test/support/kafka/broker.ts'
import { describeWithJava, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { examineKafka } from '../../observe/doctor-kafka.ts'
import { withAdmin } from './admin.ts'
import { createKafka, DefaultPartitioner } from './client.ts'
import type { KafkaSettings } from './settings.ts'
import { groupId, topicName } from './topics.ts'
import { applyTopics, ensureTopics, reportTopics } from './topics-admin.ts'

const { AclResourceTypes, AclOperationTypes, AclPermissionTypes, ResourcePatternTypes } = kafkajs
const TABLES = ['public.company']
const client = { log: { warn: () => undefined }, role: 'test', patience: 'command' } as const

describeWithJava('a user', () => {
  let broker: KafkaBroker

  beforeAll(async () => {
    broker = await startBroker({
      listeners: ['MUTUAL'],
      settings: {
        'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
        'super.users': 'User:ANONYMOUS',
      },
    })
  })
  afterAll(() => broker[Symbol.asyncDispose]())

  /** The same project for the one who may do everything, and for the user. */
  function project(): { readonly all: KafkaSettings; readonly user: KafkaSettings } {
    const { authority = '', clientCertificate = '', clientKey = '' } = broker.certificates ?? {}
    const user = kafkaSettings({
      KAFKA_BROKERS: broker.at('MUTUAL'),
      KAFKA_TLS: 'true',
      KAFKA_TLS_CA_FILE: authority,
      KAFKA_TLS_CERT_FILE: clientCertificate,
      KAFKA_TLS_KEY_FILE: clientKey,
    })
    return { user, all: { ...user, brokers: [broker.brokers], tls: null } }
  }

  async function grant(
    { all }: ReturnType<typeof project>,
    on: 'TOPIC' | 'GROUP',
    operations: readonly (keyof typeof AclOperationTypes)[],
  ): Promise<void> {
    await withAdmin(all, client, 'granting', (admin) =>
      admin.createAcls({
        acl: operations.map((operation) => ({
          resourceType: AclResourceTypes[on],
          resourceName: `${all.prefix}.`,
          resourcePatternType: ResourcePatternTypes.PREFIXED,
          principal: 'User:CN=client',
          host: '*',
          operation: AclOperationTypes[operation],
          permissionType: AclPermissionTypes.ALLOW,
        })),
      }),
    )
  }

  test('without rights is refused by name, and told where the rights stand', async () => {
    const { user } = project()
    await expect(ensureTopics(user, client, TABLES)).rejects.toMatchObject({
      code: 'LOG_KAFKA_DENIED',
      fate: 'stop',
      mend: expect.stringContaining('docs/kafka.md'),
    })
  })

  test('who sets topics up can with the rights for it', async () => {
    const both = project()
    await grant(both, 'TOPIC', ['CREATE', 'DESCRIBE', 'DESCRIBE_CONFIGS', 'ALTER_CONFIGS'])
    await eventually(() => ensureTopics(both.user, client, TABLES))
    const longer = { ...both.user, retentionMs: both.user.retentionMs * 2 }
    await withAdmin(longer, client, 'a test', async (admin) => {
      await applyTopics(admin, await reportTopics(admin, longer, TABLES))
      await eventually(async () => {
        const [report] = await reportTopics(admin, longer, TABLES)
        expect(report?.differences).toEqual([])
      })
    })
  })

  test('who captures and who works can with theirs, and the doctor with no more', async () => {
    const both = project()
    await ensureTopics(both.all, client, TABLES)
    await grant(both, 'TOPIC', ['WRITE', 'READ', 'DESCRIBE', 'DESCRIBE_CONFIGS'])
    await grant(both, 'GROUP', ['READ'])
    await eventually(async () => expect(await ensureTopics(both.user, client, TABLES)).toEqual([]))
    const kafka = createKafka(both.user, { ...client, patience: 'service' })
    const topic = topicName(both.user.prefix, 'public.company')
    const producer = kafka.producer({ createPartitioner: DefaultPartitioner })
    const consumer = kafka.consumer({ groupId: groupId(both.user.prefix, 'recompute'), maxWaitTimeInMs: 200 })
    const seen: string[] = []
    try {
      await producer.connect()
      await producer.send({ topic, acks: -1, messages: [{ key: 'k', value: 'v' }] })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      await consumer.run({
        eachMessage: async ({ message }) => {
          seen.push(String(message.value))
        },
      })
      await eventually(() => expect(seen).toEqual(['v']))
      const { signal } = new AbortController()
      const stages = ['recompute']
      expect(await examineKafka({ settings: both.user, tables: TABLES, stages, signal })).toEqual([])
    } finally {
      await producer.disconnect()
      await consumer.disconnect()
    }
  })
})
