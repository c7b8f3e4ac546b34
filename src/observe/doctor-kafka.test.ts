/** What can be judged without a broker: each check red once and green once. On brokers: doctor-kafka.kafka.test.ts. */
import { expect, test } from 'vitest'
import { missingVersions } from '../log/kafka/api-versions.ts'
import { readKafkaSettings } from '../log/kafka/settings.ts'
import { topicSpecs } from '../log/kafka/topics.ts'
import type { TopicReport } from '../log/kafka/topics-admin.ts'
import { copyProblems, loginProblems } from './doctor-kafka.ts'

function settingsOf(variables: Readonly<Record<string, string>> = {}) {
  const settings = readKafkaSettings({ KAFKA_BROKERS: 'one:9092', ...variables })
  if (settings === null) throw new TypeError('no brokers')
  return settings
}

/** A topic with three copies on three brokers, as it should be but for what is said. */
function reportOf(state: { inSync?: number; config?: Readonly<Record<string, string>> }): TopicReport {
  const [spec] = topicSpecs(settingsOf(), ['public.company'], 3)
  if (spec === undefined) throw new TypeError('no topic')
  const config = { ...spec.config, ...state.config }
  return {
    spec,
    differences: [],
    state: { partitions: 12, replication: 3, inSync: state.inSync ?? 3, config, own: config },
  }
}

test('copies: all of them in sync, and writes that wait for two of three, are well', () => {
  expect(copyProblems({ topics: [reportOf({})] })).toEqual([])
  expect(copyProblems({ topics: [{ ...reportOf({}), state: null }] })).toEqual([])
})

test.each([
  ['fewer copies are in sync than a write needs', { inSync: 1 }],
  ['a copy is missing or behind', { inSync: 2 }],
  ['a write is acknowledged by one broker alone', { config: { 'min.insync.replicas': '1' } }],
  ['a broker that missed acknowledged changes', { config: { 'unclean.leader.election.enable': 'true' } }],
])('copies: %s', (words, state) => {
  const topics = [reportOf({}), reportOf(state)]
  expect(copyProblems({ topics })).toMatchObject([
    { check: 'kafka copies', message: expect.stringContaining(words), mend: expect.stringMatching(/./) },
  ])
})

test('login: a secret in clear text is told, one over TLS or one that is never sent is not', () => {
  const login = { KAFKA_USERNAME: 'u', KAFKA_PASSWORD: 'p' }
  const plain = { ...login, KAFKA_SASL: 'plain' }
  expect(loginProblems({ settings: settingsOf(plain) })).toMatchObject([{ check: 'kafka login' }])
  expect(loginProblems({ settings: settingsOf({ ...plain, KAFKA_TLS: 'true' }) })).toEqual([])
  expect(loginProblems({ settings: settingsOf({ ...login, KAFKA_SASL: 'scram-sha-256' }) })).toEqual([])
  expect(loginProblems({ settings: settingsOf() })).toEqual([])
})

test('a broker that has dropped what is spoken here, or never had it, is told by the name of the call', () => {
  const missing = missingVersions(
    new Map([
      [0, { min: 8, max: 12 }],
      [1, { min: 0, max: 3 }],
    ]),
  )
  expect(missing).toContain('Produce is served in versions 8 to 12, and 7 to 7 are spoken here')
  expect(missing).toContain('Fetch is served in versions 0 to 3, and 4 to 11 are spoken here')
  expect(missing).toContain('Metadata is missing')
})
