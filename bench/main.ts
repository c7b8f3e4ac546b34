/**
 * `npm run bench`: measures, and prints one JSON object to stdout; progress goes to stderr. Asserts nothing: a figure
 * that misses its target is reported as missed. Exit code 1 when a measurement could not be taken, 2 for wrong options.
 *
 *   npm run bench -- --only latency,throughput --scale 0.1 --json figures/bench.json
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { asError } from '../src/errors.ts'
import { openContext } from './context.ts'
import { describeMachine } from './machine.ts'
import { capture } from './measure-capture.ts'
import { connector } from './measure-connector.ts'
import { latency } from './measure-latency.ts'
import { memory } from './measure-memory.ts'
import { rescore } from './measure-rescore.ts'
import { scale } from './measure-scale.ts'
import { throughput } from './measure-throughput.ts'
import type { Figures, Measurement } from './measurement.ts'
import { round } from './statistics.ts'
import { holdAgainstTargets } from './targets.ts'

const MEASUREMENTS: readonly Measurement[] = [latency, throughput, rescore, capture, memory, connector, scale]

interface Options {
  readonly chosen: readonly Measurement[]
  readonly scale: number
  readonly file: string | undefined
}

/** @throws TypeError naming the option that cannot be used */
function readOptions(args: readonly string[]): Options {
  const options = {
    only: { type: 'string' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string' },
  } as const
  const { values } = parseArgs({ args: [...args], options })
  const names = MEASUREMENTS.map(({ name }) => name)
  const only = values.only?.split(',') ?? names
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new TypeError(`--only: ${unknown.join(', ')}; there are ${names.join(', ')}.`)
  const scaleBy = Number(values.scale)
  if (!(scaleBy > 0)) throw new TypeError(`--scale must be a number above 0, got '${values.scale}'.`)
  return { chosen: MEASUREMENTS.filter(({ name }) => only.includes(name)), scale: scaleBy, file: values.json }
}

const say = (text: string) => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)

async function measure({ chosen, scale: scaleBy, file }: Options, signal: AbortSignal): Promise<void> {
  await using context = await openContext({ scale: scaleBy, signal, say })
  // At the start: the commit may move while the measurements run.
  const head = { date: new Date().toISOString(), scale: scaleBy, ...(await describeMachine(context.server.url)) }
  const figures: Record<string, Figures> = {}
  // What else the machine was busy with: figures taken on a busy one are worth less.
  const loadBefore: Record<string, number> = {}
  const textOf = () =>
    `${JSON.stringify({ ...head, loadBefore, targets: holdAgainstTargets(figures), figures }, null, 2)}\n`
  for (const { name, run } of chosen) {
    say(`--- ${name}`)
    loadBefore[name] = round(loadavg()[0] ?? 0, 2)
    const startedMs = performance.now()
    try {
      figures[name] = await run(context)
    } catch (error) {
      signal.throwIfAborted()
      figures[name] = { failed: asError(error).message }
      process.exitCode = 1
      say(`${name} failed: ${asError(error).stack}`)
    }
    say(`${name} took ${Math.round((performance.now() - startedMs) / 1000)} s`)
    // After each, so that a run that is cut short leaves what it has.
    if (file !== undefined) await save(file, textOf())
  }
  process.stdout.write(textOf())
}

async function save(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

const stopping = new AbortController()
process.on('SIGINT', () => stopping.abort(new Error('Interrupted.')))
process.on('SIGTERM', () => stopping.abort(new Error('Terminated.')))

try {
  await measure(readOptions(process.argv.slice(2)), stopping.signal)
} catch (error) {
  say(asError(error).message)
  process.exitCode = error instanceof TypeError ? 2 : 1
}
