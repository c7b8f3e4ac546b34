import { expect, test } from 'vitest'
import { readKafkaSettings } from './settings.ts'
import { compareTopic, topicName, topicSpecs } from './topics.ts'

const settings = readKafkaSettings({ KAFKA_BROKERS: 'a:1', KAFKA_PREFIX: 'crm', KAFKA_RETENTION_HOURS: '1' })
if (settings === null) throw new TypeError('no settings')

const [three] = topicSpecs(settings, ['public.company'], 5)
if (three === undefined) throw new TypeError('no spec')
const asDeclared = { partitions: 12, replication: 3, inSync: 3, config: three.config, own: three.config }
const differing = (config: Readonly<Record<string, string>>) =>
  compareTopic(three, { ...asDeclared, config: { ...three.config, ...config } }).map(({ what }) => what)

test('a topic per table, three copies of which two must have a write', () => {
  expect(three).toMatchObject({ name: 'crm.public.company', partitions: 12, replication: 3 })
  expect(three.config).toMatchObject({
    'cleanup.policy': 'delete',
    'retention.ms': '3600000',
    'min.insync.replicas': '2',
  })
  const [one] = topicSpecs(settings, ['public.company'], 1)
  expect(one).toMatchObject({ replication: 1, config: { 'min.insync.replicas': '1' } })
})

test('a name that Kafka cannot hold, or holds twice, is refused', () => {
  expect(() => topicName('crm', 'public.größe')).toThrow(/cannot have a topic/)
  expect(() => topicName('crm', `public.${'x'.repeat(250)}`)).toThrow(/cannot have a topic/)
  expect(() => topicSpecs(settings, ['a.b_c', 'a_b.c'], 1)).toThrow(/cannot both/)
})

test('what is as declared, or safer, is no difference', () => {
  expect(compareTopic(three, asDeclared)).toEqual([])
  expect(differing({ 'retention.ms': '-1', 'max.message.bytes': '20000000' })).toEqual([])
  expect(compareTopic(three, { ...asDeclared, replication: 5 })).toEqual([])
})

test.each([
  ['cleanup.policy', 'compact'],
  ['cleanup.policy', 'compact,delete'],
  ['retention.ms', '3599999'],
  ['retention.bytes', '1000000'],
  ['min.insync.replicas', '1'],
  ['min.insync.replicas', '3'],
  ['max.message.bytes', '1048588'],
])('%s = %s is one', (setting, value) => {
  expect(differing({ [setting]: value })).toEqual([setting])
})

test('partitions and copies are told and never set', () => {
  const differences = compareTopic(three, { ...asDeclared, partitions: 6, replication: 2 })
  expect(differences.map(({ what, canApply }) => [what, canApply])).toEqual([
    ['partitions', false],
    ['replication', false],
  ])
  expect(differences[0]?.mend).toContain('KAFKA_PARTITIONS=6')
})
