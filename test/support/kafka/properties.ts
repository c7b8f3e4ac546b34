/**
 * The settings of a broker: one node that is broker and controller, small enough for a test on a shared machine.
 * Invariant: the clear-text listener is always there, for the test's own set-up; every other listener is asked for.
 */

/** Mechanisms that a SASL listener accepts, all at once. */
const MECHANISMS = 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER'

/**
 * TLS: server certificate only. MUTUAL: the client shows one too. SASL and SASL_TLS: all four mechanisms. PROXIED: clear
 * text, and clients are told the port of a proxy.
 */
export type ListenerName = 'TLS' | 'MUTUAL' | 'SASL' | 'SASL_TLS' | 'PROXIED'

const PROTOCOLS: Readonly<Record<ListenerName, string>> = {
  TLS: 'SSL',
  MUTUAL: 'SSL',
  SASL: 'SASL_PLAINTEXT',
  SASL_TLS: 'SASL_SSL',
  PROXIED: 'PLAINTEXT',
}

export interface Credentials {
  readonly username: string
  readonly password: string
}

export interface BrokerShape {
  readonly dataDir: string
  readonly port: number
  readonly controllerPort: number
  readonly listeners: ReadonlyMap<ListenerName, number>
  /** The port clients of PROXIED are told to connect to. */
  readonly proxyPort: number | null
  /** Known to PLAIN; SCRAM users are written at formatting. */
  readonly user: Credentials | null
  /** PEM files of the server; needed by the TLS listeners. */
  readonly certificates: { readonly keystore: string; readonly truststore: string } | null
  readonly settings: Readonly<Record<string, string>>
}

function saslSettings(name: ListenerName, user: Credentials): Record<string, string> {
  const prefix = `listener.name.${name.toLowerCase()}`
  const modules = 'org.apache.kafka.common.security'
  return {
    [`${prefix}.sasl.enabled.mechanisms`]: MECHANISMS,
    [`${prefix}.plain.sasl.jaas.config`]: `${modules}.plain.PlainLoginModule required user_${user.username}="${user.password}";`,
    [`${prefix}.scram-sha-256.sasl.jaas.config`]: `${modules}.scram.ScramLoginModule required;`,
    [`${prefix}.scram-sha-512.sasl.jaas.config`]: `${modules}.scram.ScramLoginModule required;`,
    // Kafka's unsecured validator: tokens without a signature, whose expiry and subject it does check.
    [`${prefix}.oauthbearer.sasl.jaas.config`]: `${modules}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
  }
}

export function brokerProperties(shape: BrokerShape): string {
  const { dataDir, port, controllerPort, listeners, user, certificates } = shape
  const extra = [...listeners]
  const outside = [`PLAINTEXT://127.0.0.1:${port}`, ...extra.map(([name, at]) => `${name}://127.0.0.1:${at}`)].join(',')
  const told = extra.map(([name, at]) => `${name}://127.0.0.1:${name === 'PROXIED' ? (shape.proxyPort ?? at) : at}`)
  const needsUser = extra.filter(([name]) => name === 'SASL' || name === 'SASL_TLS')
  if (needsUser.length > 0 && user === null) throw new TypeError('A SASL listener needs a user.')
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `${outside},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': [`PLAINTEXT://127.0.0.1:${port}`, ...told].join(','),
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': [
      'CONTROLLER:PLAINTEXT',
      'PLAINTEXT:PLAINTEXT',
      ...extra.map(([name]) => `${name}:${PROTOCOLS[name]}`),
    ].join(','),
    'log.dirs': dataDir,
    'num.partitions': '1',
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    'group.initial.rebalance.delay.ms': '0',
    // After a kill -9 the broker's own controller refuses it until its session before has ended.
    'broker.session.timeout.ms': '3000',
    'broker.heartbeat.interval.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '2',
    'log.cleaner.dedupe.buffer.size': '16777216',
  }
  if (certificates !== null) {
    settings['ssl.keystore.type'] = 'PEM'
    settings['ssl.keystore.location'] = certificates.keystore
    settings['ssl.truststore.type'] = 'PEM'
    settings['ssl.truststore.location'] = certificates.truststore
    settings['listener.name.mutual.ssl.client.auth'] = 'required'
  }
  if (user !== null) for (const [name] of needsUser) Object.assign(settings, saslSettings(name, user))
  return Object.entries({ ...settings, ...shape.settings })
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
