/**
 * A real Kafka broker as a child process: formatted, started, ready, stopped, killed, started again on the same data.
 *
 * Invariants: ports stay the same over a restart; disposing leaves neither process nor folder. Should the process that
 * started it be killed, the broker is too: a watcher beside it waits for the pipe between the two to close.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { sleep } from '../../../src/db/backoff.ts'
import { withAdmin } from '../../../src/log/kafka/admin.ts'
import { readKafkaSettings } from '../../../src/log/kafka/settings.ts'
import { type KafkaVersion, kafkaArchives } from './archives.ts'
import { type Certificates, makeCertificates } from './certificates.ts'
import { brokerProperties, type Credentials, type ListenerName } from './properties.ts'

const run = promisify(execFile)
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000

export interface BrokerOptions {
  readonly version?: KafkaVersion
  readonly listeners?: readonly ListenerName[]
  /** Makes the listener PROXIED, on `target`; its clients are told to connect to `port`, where the caller has a proxy. */
  readonly proxied?: { readonly target: number; readonly port: number }
  /** Created for PLAIN and both kinds of SCRAM. */
  readonly user?: Credentials
  /** Of the clear-text listener; default: a free one. */
  readonly port?: number
  /** Kept after the end when given; default: a temporary folder, removed. */
  readonly folder?: string
  readonly settings?: Readonly<Record<string, string>>
  /** Of the Java machine. Default: quick to start and small. */
  readonly flags?: readonly string[]
}

export interface KafkaBroker extends AsyncDisposable {
  readonly version: KafkaVersion
  /** KAFKA_BROKERS of the clear-text listener. */
  readonly brokers: string
  readonly certificates: Certificates | null
  readonly pid: number
  /** KAFKA_BROKERS of another listener. */
  at(listener: ListenerName): string
  /** Ends it as an operator would. */
  stop(): Promise<void>
  /** kill -9. */
  kill(): Promise<void>
  /** Freezes and thaws the process: SIGSTOP, SIGCONT. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
  /** On the same data and ports; resolves when it answers. */
  start(): Promise<void>
}

export function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}

/** Below the range that outgoing connections take, so that a port is still free after a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    if (await isFree(port)) return port
  }
}

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const LOGGING = [
  `-Dlog4j.configuration=file:${file('log4j.properties')}`,
  `-Dlog4j2.configurationFile=${file('log4j2.properties')}`,
]
const TOOL_FLAGS = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', ...LOGGING]
const BROKER_FLAGS = ['-Xms128m', '-Xmx192m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

async function format(libraries: string, properties: string, user: Credentials | null): Promise<void> {
  const id = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('base64url')
  const scram =
    user === null
      ? []
      : ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
          '--add-scram',
          `${mechanism}=[name=${user.username},password=${user.password}]`,
        ])
  const tool = [
    '-cp',
    `${libraries}/*`,
    'kafka.tools.StorageTool',
    'format',
    `--cluster-id=${id}`,
    '-c',
    properties,
    ...scram,
  ]
  await run('java', [...TOOL_FLAGS, ...tool])
}

interface Running {
  readonly process: ChildProcess
  readonly watcher: ChildProcess
  readonly exited: Promise<void>
  readonly hasExited: () => boolean
}

function launch(flags: readonly string[], libraries: string, properties: string, log: string): Running {
  const output = openSync(log, 'a')
  const broker = spawn('java', [...flags, ...LOGGING, '-cp', `${libraries}/*`, 'kafka.Kafka', properties], {
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  let isOver = false
  const exited = new Promise<void>((done) => {
    const end = () => {
      isOver = true
      done()
    }
    broker.once('exit', end)
    broker.once('error', end)
  })
  const watcher = spawn('sh', ['-c', `read _; kill -9 ${broker.pid ?? 0}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.unref()
  return { process: broker, watcher, exited, hasExited: () => isOver }
}

async function waitUntilReady(running: Running, brokers: string, log: string): Promise<void> {
  const settings = readKafkaSettings({ KAFKA_BROKERS: brokers })
  if (settings === null) throw new TypeError('no address')
  const deadline = Date.now() + START_TIMEOUT_MS
  const options = { log: { warn: () => undefined }, role: 'test-set-up', patience: 'command' } as const
  for (;;) {
    if (running.hasExited()) {
      const words = existsSync(log) ? (await readFile(log, 'utf8')).slice(-3_000) : ''
      throw new Error(`The Kafka broker ended while starting:\n${words}`)
    }
    try {
      const known = await withAdmin(settings, options, 'waiting for the broker', (admin) => admin.describeCluster())
      if (known.brokers.length > 0) return
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await sleep(100)
  }
}

/** Formats and starts a broker; resolves when it answers. */
export async function startBroker(options: BrokerOptions = {}): Promise<KafkaBroker> {
  const { version = '4.4.0', listeners: names = [], user = null, settings = {}, flags = BROKER_FLAGS } = options
  const libraries = await kafkaArchives(version)
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'rescore-kafka-')))
  await mkdir(folder, { recursive: true })
  const port = options.port ?? (await freePort())
  const controllerPort = await freePort()
  const listeners = new Map<ListenerName, number>()
  for (const name of names) listeners.set(name, await freePort())
  if (options.proxied !== undefined) listeners.set('PROXIED', options.proxied.target)
  const certificates = names.some((name) => name !== 'SASL') ? await makeCertificates(folder) : null
  const dataDir = join(folder, 'data')
  const properties = join(folder, 'server.properties')
  const log = join(folder, 'broker.log')
  const proxyPort = options.proxied?.port ?? null
  const shape = { dataDir, port, controllerPort, listeners, proxyPort, user, certificates, settings }
  await writeFile(properties, brokerProperties(shape))
  if (!existsSync(join(dataDir, 'meta.properties'))) await format(libraries, properties, user)

  const brokers = `127.0.0.1:${port}`
  let running: Running | null = null
  const start = async () => {
    if (running !== null) throw new Error('The broker runs already.')
    const started = launch(flags, libraries, properties, log)
    running = started
    await waitUntilReady(started, brokers, log)
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const ending = running
    if (ending === null) return
    running = null
    ending.process.kill(signal)
    const patience = setTimeout(() => ending.process.kill('SIGKILL'), STOP_TIMEOUT_MS)
    await ending.exited
    clearTimeout(patience)
    ending.watcher.kill('SIGKILL')
  }
  const remove = async () => {
    await end('SIGKILL')
    if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await remove()
    throw error
  }
  return {
    version,
    brokers,
    certificates,
    get pid() {
      return running?.process.pid ?? 0
    },
    at: (listener) => {
      const found = listeners.get(listener)
      if (found === undefined) throw new TypeError(`The broker was started without the listener ${listener}.`)
      return `127.0.0.1:${found}`
    },
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    signal: (name) => {
      running?.process.kill(name)
    },
    start,
    [Symbol.asyncDispose]: remove,
  }
}
