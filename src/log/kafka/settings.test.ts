import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { isRescoreError } from '../../errors.ts'
import { readKafkaSettings } from './settings.ts'

function problem(variables: Readonly<Record<string, string>>): string {
  try {
    readKafkaSettings(variables)
  } catch (error) {
    if (isRescoreError(error)) return `${error.code} ${error.message}`
    throw error
  }
  return 'none'
}

const BROKERS = { KAFKA_BROKERS: 'one:9092, two:9093' }

test('without brokers there is no Kafka, whatever else is set', () => {
  expect(readKafkaSettings({ KAFKA_TLS: 'perhaps' })).toBeNull()
  expect(readKafkaSettings({ KAFKA_BROKERS: '' })).toBeNull()
})

test('brokers alone are enough', () => {
  expect(readKafkaSettings(BROKERS)).toEqual({
    brokers: ['one:9092', 'two:9093'],
    prefix: 'rescore',
    tls: null,
    sasl: null,
    partitions: 12,
    replication: null,
    retentionMs: 7 * 24 * 3_600_000,
    longestOutageMs: 3 * 24 * 3_600_000,
    connect: { offsetsTopic: 'connect-offsets', connector: null, url: null },
    writing: { compression: 'none', types: { decimal: 'string', time: 'adaptive' } },
  })
})

test.each([
  [{ KAFKA_BROKERS: 'one' }, 'KAFKA_BROKERS: must be host:port'],
  [{ ...BROKERS, KAFKA_CONNECT_URL: 'http://c:8083' }, 'KAFKA_CONNECT_CONNECTOR: is needed'],
  [{ ...BROKERS, KAFKA_PREFIX: 'a b' }, 'KAFKA_PREFIX'],
  [{ ...BROKERS, KAFKA_TLS_CA_FILE: '/x' }, 'KAFKA_TLS_CA_FILE: needs KAFKA_TLS=true'],
  [{ ...BROKERS, KAFKA_TLS: 'true', KAFKA_TLS_CERT_FILE: '/x' }, 'KAFKA_TLS_KEY_FILE: goes together'],
  [
    { ...BROKERS, KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: '/not/there' },
    'KAFKA_TLS_CA_FILE: the file cannot be read (ENOENT)',
  ],
  [{ ...BROKERS, KAFKA_PASSWORD: 'x' }, 'KAFKA_PASSWORD: needs KAFKA_SASL'],
  [{ ...BROKERS, KAFKA_SASL: 'plain', KAFKA_USERNAME: 'u' }, 'KAFKA_PASSWORD_FILE is needed'],
  [{ ...BROKERS, KAFKA_SASL: 'kerberos' }, 'KAFKA_SASL: must be plain'],
  [{ ...BROKERS, KAFKA_SASL: 'oauthbearer' }, 'KAFKA_TOKEN_COMMAND: is needed'],
  [{ ...BROKERS, KAFKA_PARTITIONS: '0' }, 'KAFKA_PARTITIONS: must be at least 1'],
])('%o is refused by name', (variables, expected) => {
  expect(problem(variables)).toContain(`CONFIG_KAFKA The Kafka settings are not usable:`)
  expect(problem(variables)).toContain(expected)
})

test('every problem is told at once, and no value with it', () => {
  const told = problem({ ...BROKERS, KAFKA_SASL: 'canary-1', KAFKA_PASSWORD: 'canary-2', KAFKA_TLS: 'canary-3' })
  expect(told).toContain('KAFKA_SASL')
  expect(told).toContain('KAFKA_TLS')
  expect(told).not.toContain('canary')
})

test('secrets are used and never shown', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-settings-'))
  try {
    const file = join(folder, 'password')
    await writeFile(file, 'canary word\n')
    const login = { KAFKA_SASL: 'plain', KAFKA_USERNAME: 'u', KAFKA_PASSWORD_FILE: file }
    const settings = readKafkaSettings({ ...BROKERS, ...login })
    const sasl = settings?.sasl
    expect(sasl?.mechanism === 'plain' && sasl.password.reveal()).toBe('canary word')
    expect(`${JSON.stringify(settings)} ${inspect(settings, { depth: 9 })} ${String(sasl)}`).not.toContain('canary')
  } finally {
    await rm(folder, { recursive: true })
  }
})
