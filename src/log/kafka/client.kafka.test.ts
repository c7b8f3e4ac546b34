/** Every way to reach a broker, against a real one with a listener for each. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type KafkaBroker, startBroker } from '../../../test/support/kafka/broker.ts'
import { describeWithJava, kafkaSettings } from '../../../test/support/kafka/kafka.ts'
import { isRescoreError, type RescoreError } from '../../errors.ts'
import { withAdmin } from './admin.ts'
import { missingVersions, readApiVersions } from './api-versions.ts'

const USER = { username: 'alice', password: 'canary-7f3a9' }
const lines: string[] = []
const log = { warn: (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`) }

async function reach(variables: Readonly<Record<string, string>>): Promise<number> {
  const settings = kafkaSettings(variables)
  const options = { log, role: 'test', patience: 'command' } as const
  const { brokers } = await withAdmin(settings, options, 'asking for its brokers', (admin) => admin.describeCluster())
  return brokers.length
}

async function refusal(variables: Readonly<Record<string, string>>): Promise<RescoreError> {
  try {
    await reach(variables)
  } catch (error) {
    if (isRescoreError(error)) return error
    throw error
  }
  throw new Error('It was let in.')
}

/** A token as Kafka's unsecured validator takes it: no signature, but subject and expiry are checked. */
function unsecuredToken(expiresInSeconds: number): string {
  const seconds = Math.floor(Date.now() / 1_000)
  const part = (claims: object) => Buffer.from(JSON.stringify(claims)).toString('base64url')
  return `${part({ alg: 'none' })}.${part({ sub: 'alice', iat: seconds - 600, exp: seconds + expiresInSeconds })}.`
}

describeWithJava('a client', () => {
  let broker: KafkaBroker
  let folder: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rescore-kafka-client-'))
    broker = await startBroker({ listeners: ['TLS', 'MUTUAL', 'SASL', 'SASL_TLS'], user: USER })
  })
  afterAll(async () => {
    await broker[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })

  const trusted = () => ({ KAFKA_TLS: 'true', KAFKA_TLS_CA_FILE: broker.certificates?.authority ?? '' })
  const login = (mechanism: string, password = USER.password) => ({
    KAFKA_SASL: mechanism,
    KAFKA_USERNAME: USER.username,
    KAFKA_PASSWORD: password,
  })
  const tokenFile = async (name: string, token: string) => {
    const file = join(folder, name)
    await writeFile(file, token)
    return { KAFKA_SASL: 'oauthbearer', KAFKA_TOKEN_COMMAND: `cat ${file}` }
  }

  test('reaches a broker in clear text', async () => {
    expect(await reach({ KAFKA_BROKERS: broker.brokers })).toBe(1)
  })

  test('reaches it over TLS when it trusts its authority, and only then', async () => {
    expect(await reach({ KAFKA_BROKERS: broker.at('TLS'), ...trusted() })).toBe(1)
    const stranger = { ...trusted(), KAFKA_TLS_CA_FILE: broker.certificates?.strangerAuthority ?? '' }
    expect(await refusal({ KAFKA_BROKERS: broker.at('TLS'), ...stranger })).toMatchObject({
      code: 'LOG_KAFKA_TLS',
      fate: 'stop',
    })
  })

  test('asks a broker for its versions before any login', async () => {
    const { signal } = new AbortController()
    const clear = kafkaSettings({ KAFKA_BROKERS: broker.at('SASL'), ...login('plain') })
    const secured = kafkaSettings({ KAFKA_BROKERS: broker.at('SASL_TLS'), ...trusted(), ...login('plain') })
    for (const settings of [clear, secured]) {
      const [host = '', port] = settings.brokers[0]?.split(':') ?? []
      const ranges = await readApiVersions(settings, { host, port: Number(port) }, signal)
      expect(ranges.size).toBeGreaterThan(30)
      expect(missingVersions(ranges)).toEqual([])
    }
  })

  test('shows its certificate where the broker asks for one', async () => {
    const { clientCertificate = '', clientKey = '' } = broker.certificates ?? {}
    const shown = { KAFKA_TLS_CERT_FILE: clientCertificate, KAFKA_TLS_KEY_FILE: clientKey }
    expect(await reach({ KAFKA_BROKERS: broker.at('MUTUAL'), ...trusted(), ...shown })).toBe(1)
    expect(await refusal({ KAFKA_BROKERS: broker.at('MUTUAL'), ...trusted() })).toMatchObject({ code: 'LOG_KAFKA_TLS' })
  })

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    'logs in with %s, in clear text and over TLS',
    async (mechanism) => {
      expect(await reach({ KAFKA_BROKERS: broker.at('SASL'), ...login(mechanism) })).toBe(1)
      expect(await reach({ KAFKA_BROKERS: broker.at('SASL_TLS'), ...trusted(), ...login(mechanism) })).toBe(1)
    },
  )

  test('takes the password from a file', async () => {
    const file = join(folder, 'password')
    await writeFile(file, `${USER.password}\n`)
    const { KAFKA_PASSWORD: _, ...rest } = login('plain')
    expect(await reach({ KAFKA_BROKERS: broker.at('SASL'), ...rest, KAFKA_PASSWORD_FILE: file })).toBe(1)
  })

  test('logs in with the token that a command prints', async () => {
    const good = await tokenFile('good', unsecuredToken(3_600))
    expect(await reach({ KAFKA_BROKERS: broker.at('SASL'), ...good })).toBe(1)
  })

  test.each(['plain', 'scram-sha-256', 'scram-sha-512'])(
    'a wrong password for %s stops with a mend and is not told',
    async (mechanism) => {
      lines.length = 0
      // Would make kafkajs tell every request.
      vi.stubEnv('KAFKAJS_LOG_LEVEL', 'debug')
      const error = await refusal({ KAFKA_BROKERS: broker.at('SASL'), ...login(mechanism, 'canary-wrong-11') })
      vi.unstubAllEnvs()
      expect(error).toMatchObject({
        code: 'LOG_KAFKA_AUTH',
        fate: 'stop',
        mend: expect.stringContaining('KAFKA_PASSWORD'),
      })
      expect(lines.length).toBeGreaterThan(0)
      expect([...lines, error.message, error.mend, String(error.stack), JSON.stringify(error)].join()).not.toContain(
        'canary',
      )
    },
  )

  test('a token that the broker refuses stops, although the broker says so in a successful answer', async () => {
    lines.length = 0
    const token = unsecuredToken(-60)
    const error = await refusal({ KAFKA_BROKERS: broker.at('SASL'), ...(await tokenFile('expired', token)) })
    expect(error).toMatchObject({ code: 'LOG_KAFKA_AUTH', fate: 'stop' })
    expect([...lines, error.message].join()).not.toContain(token)
  })

  test('a token command that fails says so, and not what it printed', async () => {
    lines.length = 0
    const command = { KAFKA_SASL: 'oauthbearer', KAFKA_TOKEN_COMMAND: 'echo canary-out; echo canary-err >&2; exit 3' }
    const error = await refusal({ KAFKA_BROKERS: broker.at('SASL'), ...command })
    expect(error).toMatchObject({ code: 'LOG_KAFKA_TOKEN', fate: 'retry', message: expect.stringContaining('(3)') })
    expect([...lines, error.message, String(error.stack)].join()).not.toContain('canary')
  })

  test('talking in clear text to a port that wants more is worth a look at the settings', async () => {
    const error = await refusal({ KAFKA_BROKERS: broker.at('TLS') })
    expect(error).toMatchObject({ code: 'LOG_KAFKA_UNREACHABLE', mend: expect.stringContaining('KAFKA_TLS') })
  })

  test('an abort ends the waiting at once, with its own reason', async () => {
    const settings = kafkaSettings({ KAFKA_BROKERS: '127.0.0.1:1' })
    const reason = new Error('enough')
    const controller = new AbortController()
    const waiting = withAdmin(settings, { log, role: 'test', signal: controller.signal }, 'waiting', (admin) =>
      admin.listTopics(),
    )
    controller.abort(reason)
    await expect(waiting).rejects.toBe(reason)
  })

  test('a broker that is not there is tried again later', async () => {
    const error = await refusal({ KAFKA_BROKERS: '127.0.0.1:1' })
    expect(error).toMatchObject({
      code: 'LOG_KAFKA_UNREACHABLE',
      fate: 'retry',
      mend: expect.stringContaining('KAFKA_BROKERS'),
    })
  })
})
