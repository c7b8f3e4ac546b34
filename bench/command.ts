/**
 * What every bench command does: reads its options, takes the chosen measurements one after the other, prints one JSON
 * object to stdout and progress to stderr.
 *
 * Invariants: asserts nothing, a figure that misses its target is reported as missed; a run that is cut short leaves in
 * `--json` what it has measured; the first Ctrl-C ends everything that was started, a second one does not wait for it.
 * Exit code 1 when a measurement could not be taken, 2 for wrong options.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import { asError } from '../src/errors.ts'
import { openContext } from './context.ts'
import { describeMachine } from './machine.ts'
import type { Figures, Measurement } from './measurement.ts'
import { round } from './statistics.ts'
import { holdAgainstTargets, type Target } from './targets.ts'

export interface Command {
  readonly measurements: readonly Measurement[]
  readonly targets: readonly Target[]
  /** Why nothing can be measured here, in words for a person; null: it can. */
  readonly whyNot?: () => Promise<string | null>
}

interface Options {
  readonly chosen: readonly Measurement[]
  readonly scale: number
  readonly file: string | undefined
}

/** @throws TypeError naming the option that cannot be used */
function readOptions(args: readonly string[], measurements: readonly Measurement[]): Options {
  const options = {
    only: { type: 'string' },
    scale: { type: 'string', default: '1' },
    json: { type: 'string' },
  } as const
  const { values } = parseArgs({ args: [...args], options })
  const names = measurements.map(({ name }) => name)
  const only = values.only?.split(',') ?? names
  const unknown = only.filter((name) => !names.includes(name))
  if (unknown.length > 0) throw new TypeError(`--only: ${unknown.join(', ')}; there are ${names.join(', ')}.`)
  const scale = Number(values.scale)
  if (!(scale > 0)) throw new TypeError(`--scale must be a number above 0, got '${values.scale}'.`)
  return { chosen: measurements.filter(({ name }) => only.includes(name)), scale, file: values.json }
}

const say = (text: string) => void process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${text}\n`)

async function measure({ chosen, scale, file }: Options, targets: readonly Target[], signal: AbortSignal) {
  await using context = await openContext({ scale, signal, say })
  // At the start: the commit may move while the measurements run.
  const head = { date: new Date().toISOString(), scale, ...(await describeMachine(context.server.url)) }
  const figures: Record<string, Figures> = {}
  // What else the machine was busy with: figures taken on a busy one are worth less.
  const loadBefore: Record<string, number> = {}
  const seconds: Record<string, number> = {}
  const textOf = () => {
    const held = holdAgainstTargets(figures, targets)
    return `${JSON.stringify({ ...head, loadBefore, seconds, targets: held, figures }, null, 2)}\n`
  }
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
    seconds[name] = Math.round((performance.now() - startedMs) / 1000)
    say(`${name} took ${seconds[name]} s`)
    if (file !== undefined) await save(file, textOf())
  }
  process.stdout.write(textOf())
}

async function save(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}

export async function runCommand({ measurements, targets, whyNot }: Command): Promise<void> {
  const stopping = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      // What was started ends with the pipe between it and this process.
      if (stopping.signal.aborted) process.exit(1)
      stopping.abort(new Error(`Ended by ${name}.`))
    })
  }
  try {
    const options = readOptions(process.argv.slice(2), measurements)
    const missing = (await whyNot?.()) ?? null
    if (missing !== null) throw new TypeError(missing)
    await measure(options, targets, stopping.signal)
  } catch (error) {
    say(asError(error).message)
    process.exitCode = error instanceof TypeError ? 2 : 1
  }
}
