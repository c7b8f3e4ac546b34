/**
 * A real Debezium connector in Kafka Connect's stand-alone process, from Maven Central, as the recipe of the research runs it:
 * `shipped` with nothing but what it needs, `tuned` for throughput, `latency` tuned to send at once.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const HOME = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'rescore', 'debezium-3.7.0')
const FETCH_TIMEOUT_MS = 300_000
const STOP_MS = 10_000

export type DebeziumVariant = 'shipped' | 'tuned' | 'latency'

/** The folder with its jars, fetched once. @throws when Maven is missing or cannot fetch them */
export async function debeziumArchives(): Promise<string> {
  if (existsSync(HOME)) return HOME
  await mkdir(join(HOME, '..'), { recursive: true })
  const work = await mkdtemp(`${HOME}.`)
  await copyFile(fileURLToPath(new URL('./pom-debezium.xml', import.meta.url)), join(work, 'pom.xml'))
  const goal = ['-q', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${work}/libs`]
  await run('mvn', goal, { cwd: work, timeout: FETCH_TIMEOUT_MS })
  await rename(join(work, 'libs'), HOME)
  return HOME
}

const TUNED_WORKER = [
  'connector.client.config.override.policy=All',
  'producer.batch.size=524288',
  'producer.buffer.memory=134217728',
  'producer.compression.type=none',
  'plugin.discovery=service_load',
  'topic.creation.enable=false',
]
const TUNED_CONNECTOR = ['max.batch.size=16384', 'max.queue.size=65536', 'decimal.handling.mode=string']

export interface DebeziumOrder {
  readonly url: string
  readonly database: string
  readonly slot: string
  readonly publication: string
  readonly table: string
  readonly brokers: string
  readonly prefix: string
}

/** Started and on its way. Disposing ends it, as an operator would or by force, and removes its files. */
export async function startDebezium(
  order: DebeziumOrder,
  variant: DebeziumVariant,
): Promise<AsyncDisposable & { readonly process: ChildProcess }> {
  const libraries = await debeziumArchives()
  const folder = await mkdtemp(join(tmpdir(), 'rescore-debezium-'))
  const { hostname, port, username, password } = new URL(order.url)
  const lines = (...all: readonly string[]) => `${all.join('\n')}\n`
  const isTuned = variant !== 'shipped'
  await writeFile(
    join(folder, 'worker.properties'),
    lines(
      `bootstrap.servers=${order.brokers}`,
      'key.converter=org.apache.kafka.connect.json.JsonConverter',
      'value.converter=org.apache.kafka.connect.json.JsonConverter',
      'key.converter.schemas.enable=false',
      'value.converter.schemas.enable=false',
      `offset.storage.file.filename=${folder}/offsets`,
      'listeners=http://127.0.0.1:0',
      ...(isTuned ? [...TUNED_WORKER, `producer.linger.ms=${variant === 'latency' ? 0 : 5}`] : []),
    ),
  )
  await writeFile(
    join(folder, 'connector.properties'),
    lines(
      'name=dbz',
      'connector.class=io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max=1',
      'plugin.name=pgoutput',
      `database.hostname=${hostname}`,
      `database.port=${port}`,
      `database.user=${username}`,
      `database.password=${decodeURIComponent(password)}`,
      `database.dbname=${order.database}`,
      `topic.prefix=${order.prefix}`,
      `slot.name=${order.slot}`,
      `publication.name=${order.publication}`,
      'publication.autocreate.mode=disabled',
      `table.include.list=${order.table}`,
      'snapshot.mode=no_data',
      ...(isTuned ? [...TUNED_CONNECTOR, `poll.interval.ms=${variant === 'latency' ? 5 : 10}`] : []),
    ),
  )
  const output = openSync(join(folder, 'connect.log'), 'a')
  const flags = isTuned ? ['-Xms512m', '-Xmx1g', '-XX:+UseParallelGC'] : ['-Xms256m', '-Xmx2g']
  const main = 'org.apache.kafka.connect.cli.ConnectStandalone'
  const files = ['worker', 'connector'].map((name) => join(folder, `${name}.properties`))
  const connect = spawn('java', [...flags, '-cp', `${libraries}/*`, main, ...files], {
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  const exited = once(connect, 'exit')
  return {
    process: connect,
    [Symbol.asyncDispose]: async () => {
      connect.kill('SIGTERM')
      const patience = setTimeout(() => connect.kill('SIGKILL'), STOP_MS)
      await exited
      clearTimeout(patience)
      await rm(folder, { recursive: true, force: true })
    },
  }
}
