/**
 * Kafka Connect in distributed mode as one real worker process, and a Debezium connector in it: the set-up that
 * docs/kafka.md asks for.
 *
 * Invariants: what it needs to go on (offsets, configuration) is in Kafka, so a worker that was killed and started again
 * goes on with its connector; disposing leaves neither process nor files. Should the process that started it be killed,
 * it is too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep } from '../../../src/db/backoff.ts'
import { freePort } from './broker.ts'
import { debeziumArchives } from './debezium.ts'

const START_TIMEOUT_MS = 150_000
const FLAGS = ['-Xms128m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']

export interface ConnectOrder {
  readonly brokers: string
  /** First part of the names of its own topics. */
  readonly name: string
  readonly flushEveryMs?: number
}

export interface ConnectWorker extends AsyncDisposable {
  /** Where it is asked and told. */
  readonly url: string
  /** `offset.storage.topic` */
  readonly offsetsTopic: string
  /** Resolves when the worker answers, with its connectors on their way. */
  start(): Promise<void>
  /** kill -9. */
  kill(): Promise<void>
  /** Made or changed. */
  putConnector(name: string, config: Readonly<Record<string, string>>): Promise<void>
  /** Of the connector's one task: `RUNNING`, `FAILED …` with its trace, or `none`. */
  taskState(name: string): Promise<string>
}

export function connectTopics(name: string) {
  return { offsets: `${name}-offsets`, configs: `${name}-configs`, status: `${name}-status` }
}

class RunningConnect implements ConnectWorker {
  readonly url: string
  readonly offsetsTopic: string
  readonly #folder: string
  readonly #libraries: string
  #process: ChildProcess | null = null
  #watcher: ChildProcess | null = null

  constructor(folder: string, url: string, libraries: string, offsetsTopic: string) {
    this.#folder = folder
    this.url = url
    this.#libraries = libraries
    this.offsetsTopic = offsetsTopic
  }

  async start(): Promise<void> {
    const log = join(this.#folder, 'connect.log')
    const output = openSync(log, 'a')
    const main = 'org.apache.kafka.connect.cli.ConnectDistributed'
    const properties = join(this.#folder, 'worker.properties')
    const started = spawn('java', [...FLAGS, '-cp', `${this.#libraries}/*`, main, properties], {
      stdio: ['ignore', output, output],
    })
    closeSync(output)
    this.#process = started
    this.#watcher = spawn('sh', ['-c', `read _; kill -9 ${started.pid ?? 0}`], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
    })
    this.#watcher.unref()
    const deadline = Date.now() + START_TIMEOUT_MS
    for (;;) {
      const answer = await fetch(`${this.url}/connectors`).catch(() => null)
      if (answer?.ok === true) return
      if (started.exitCode !== null || Date.now() > deadline) {
        throw new Error(`Kafka Connect did not start:\n${(await readFile(log, 'utf8')).slice(-3_000)}`)
      }
      await sleep(200)
    }
  }

  async kill(): Promise<void> {
    const ending = this.#process
    if (ending === null) return
    this.#process = null
    const exited = once(ending, 'exit')
    if (ending.exitCode === null && ending.signalCode === null) {
      ending.kill('SIGKILL')
      await exited
    }
    this.#watcher?.kill('SIGKILL')
  }

  async putConnector(name: string, config: Readonly<Record<string, string>>): Promise<void> {
    const answer = await fetch(`${this.url}/connectors/${name}/config`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(config),
    })
    if (!answer.ok) throw new Error(`The connector was refused: ${await answer.text()}`)
  }

  async taskState(name: string): Promise<string> {
    const answer = await fetch(`${this.url}/connectors/${name}/status`)
    if (!answer.ok) return 'none'
    const told: unknown = await answer.json()
    if (typeof told !== 'object' || told === null || !('tasks' in told) || !Array.isArray(told.tasks)) return 'none'
    const [task] = told.tasks
    return task === undefined ? 'none' : [task.state, task.trace].filter(Boolean).join(' ')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Not started yet. */
export async function createConnect({ brokers, name, flushEveryMs = 500 }: ConnectOrder): Promise<ConnectWorker> {
  const libraries = await debeziumArchives()
  const folder = await mkdtemp(join(tmpdir(), 'rescore-connect-'))
  const url = `http://127.0.0.1:${await freePort()}`
  const topics = connectTopics(name)
  const lines = [
    `bootstrap.servers=${brokers}`,
    `group.id=${name}`,
    `listeners=${url}`,
    `offset.storage.topic=${topics.offsets}`,
    `config.storage.topic=${topics.configs}`,
    `status.storage.topic=${topics.status}`,
    'offset.storage.replication.factor=1',
    'config.storage.replication.factor=1',
    'status.storage.replication.factor=1',
    'status.storage.partitions=1',
    `offset.flush.interval.ms=${flushEveryMs}`,
    'key.converter=org.apache.kafka.connect.json.JsonConverter',
    'value.converter=org.apache.kafka.connect.json.JsonConverter',
    'key.converter.schemas.enable=false',
    'value.converter.schemas.enable=false',
    'plugin.discovery=service_load',
    // A worker that was killed is missed sooner.
    'session.timeout.ms=6000',
    'heartbeat.interval.ms=1000',
  ]
  await writeFile(join(folder, 'worker.properties'), `${lines.join('\n')}\n`)
  return new RunningConnect(folder, url, libraries, topics.offsets)
}

export interface ConnectorOrder {
  readonly url: string
  readonly database: string
  readonly slot: string
  readonly publication: string
  /** `schema.name` */
  readonly tables: readonly string[]
  readonly prefix: string
}

/** As docs/kafka.md gives it. */
export function connectorConfig(order: ConnectorOrder): Readonly<Record<string, string>> {
  const { hostname, port, username, password } = new URL(order.url)
  return {
    'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
    'tasks.max': '1',
    'plugin.name': 'pgoutput',
    'database.hostname': hostname,
    'database.port': port,
    'database.user': username,
    'database.password': decodeURIComponent(password),
    'database.dbname': order.database,
    'topic.prefix': order.prefix,
    'slot.name': order.slot,
    'publication.name': order.publication,
    'publication.autocreate.mode': 'filtered',
    'table.include.list': order.tables.map((table) => table.replaceAll('.', '[.]')).join(','),
    'snapshot.mode': 'no_data',
    'skipped.operations': 'none',
    'heartbeat.interval.ms': '500',
    'message.prefix.exclude.list': 'rescore[.]barrier',
    'topic.creation.default.partitions': '1',
    'topic.creation.default.replication.factor': '-1',
    'poll.interval.ms': '50',
  }
}
