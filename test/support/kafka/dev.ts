/**
 * `npm run dev:kafka`: a real broker on this machine without Docker, from Kafka's own archives.
 *
 *   npm run dev:kafka                          prints KAFKA_BROKERS=… and runs until Ctrl-C
 *   npm run dev:kafka -- npx rescore dev       runs a command with KAFKA_BROKERS set, and ends with it
 *
 * Invariant: nothing is made but the broker; its data stays in .rescore/kafka and the next run goes on from it. stdout
 * carries the one line with the address (and the command's own words), everything else goes to stderr.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { whyNoKafka } from './archives.ts'
import { freePort, isFree, startBroker } from './broker.ts'

const KAFKA_PORT = 9_092
const USAGE_EXIT = 2

const note = (text: string) => process.stderr.write(`${text}\n`)

function interruption(): Promise<number> {
  return new Promise((done) => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(name, () => done(128 + constants.signals[name]))
  })
}

/** Ctrl-C in a terminal reaches the command by itself; any other signal is passed on. */
function runCommand([program, ...flags]: readonly string[], brokers: string): Promise<number> {
  if (program === undefined) throw new TypeError('no command')
  const environment = { KAFKA_PARTITIONS: '4', ...process.env, KAFKA_BROKERS: brokers }
  const child = spawn(program, flags, { stdio: 'inherit', env: environment })
  for (const name of ['SIGTERM', 'SIGHUP'] as const) process.on(name, () => child.kill(name))
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('exit', (code, signal) => done(code ?? 128 + constants.signals[signal ?? 'SIGKILL']))
  })
}

async function main(command: readonly string[]): Promise<number> {
  const missing = await whyNoKafka()
  if (missing !== null) {
    note(`No broker can be started here: ${missing}`)
    note(
      '  mend: install a Java runtime of version 17 or newer and Maven, or use a broker elsewhere: docker compose up kafka',
    )
    return USAGE_EXIT
  }
  const interrupted = interruption()
  note('Starting Kafka (the first time its archives are fetched, some 50 MB)…')
  const folder = resolve(join('.rescore', 'kafka'))
  const port = (await isFree(KAFKA_PORT)) ? KAFKA_PORT : await freePort()
  await using broker = await startBroker({ port, folder })
  note(`Kafka ${broker.version} runs, its data in ${folder}.`)
  // Awaited here: the broker ends with this block.
  if (command.length > 0) return await runCommand(command, broker.brokers)
  process.stdout.write(`KAFKA_BROKERS=${broker.brokers}\n`)
  note('Ctrl-C stops it; the data stays.')
  await interrupted
  await broker.stop()
  return 0
}

process.exitCode = await main(process.argv.slice(2))
