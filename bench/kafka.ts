/**
 * `npm run bench:kafka`: capture into Kafka beside Debezium and the ceiling, as one JSON object on stdout; progress goes to
 * stderr. Needs Java and Maven. Asserts nothing: a figure that misses its target is reported as missed.
 *
 *   npm run bench:kafka -- --only capture --scale 0.1 --json figures/kafka.json
 */
import { writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { asError } from '../src/errors.ts'
import { whyNoKafka } from '../test/support/kafka/archives.ts'
import { openContext } from './context.ts'
import { kafkaCapture } from './kafka-capture.ts'
import { describeMachine } from './machine.ts'
import type { Figures, Measurement } from './measurement.ts'
import { round } from './statistics.ts'

const MEASUREMENTS: readonly Measurement[] = [kafkaCapture]
const OPTIONS = { only: { type: 'string' }, scale: { type: 'string', default: '1' }, json: { type: 'string' } } as const

const say = (text: string) => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)
const stopping = new AbortController()
for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => stopping.abort(new Error(`Ended by ${name}.`)))

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS })
  const only = values.only?.split(',')
  const chosen = MEASUREMENTS.filter(({ name }) => only === undefined || only.includes(name))
  const scale = Number(values.scale)
  if (chosen.length === 0 || !(scale > 0))
    throw new TypeError(`--only ${MEASUREMENTS.map(({ name }) => name)}, --scale above 0`)
  const missing = await whyNoKafka()
  if (missing !== null) throw new TypeError(missing)
  await using context = await openContext({ scale, signal: stopping.signal, say })
  const figures: Record<string, Figures> = {}
  const loadBefore: Record<string, number> = {}
  for (const { name, run } of chosen) {
    loadBefore[name] = round(loadavg()[0] ?? 0, 2)
    figures[name] = await run(context)
  }
  const head = { date: new Date().toISOString(), scale, ...(await describeMachine(context.server.url)) }
  const text = JSON.stringify({ ...head, loadBefore, figures }, null, 2)
  process.stdout.write(`${text}\n`)
  if (values.json !== undefined) await writeFile(values.json, `${text}\n`)
}

try {
  await main()
} catch (error) {
  say(asError(error).stack ?? '')
  process.exitCode = error instanceof TypeError ? 2 : 1
}
