/** `rescore connector`: begin one, and prove one against the conformance kit. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Command } from 'commander'
import { z } from 'zod'
import { type ConformanceSpec, type Line, lineText, runConformance, withScratchDatabase } from '../conformance/index.ts'
import { RescoreError } from '../errors.ts'
import { type Common, command } from './command.ts'
import { connectorNewCommand } from './connector-new.ts'
import { EXIT } from './exit.ts'
import { paint, print, printJson } from './output.ts'

interface TestOptions extends Common {
  readonly only?: string[]
}

const functionSchema = z.custom<() => unknown>((value) => typeof value === 'function')
const specShape = z.looseObject({ name: z.string(), connector: functionSchema, fixture: functionSchema })

/** Shape check: a user's spec comes from a module that types do not reach. */
function isSpec(value: unknown): value is ConformanceSpec {
  return specShape.safeParse(value).success
}

function noSpec(message: string): RescoreError {
  return new RescoreError({
    code: 'CLI_NO_CONFORMANCE',
    fate: 'stop',
    message,
    mend: 'rescore connector new <name> writes one: connectors/<name>.conformance.ts exports a ConformanceSpec as default.',
  })
}

/** A name stands for connectors/<name>.conformance.ts; anything with an ending is a file. */
async function loadSpec(nameOrFile: string): Promise<ConformanceSpec> {
  const isFile = /\.[cm]?[jt]s$/.test(nameOrFile)
  const candidates = isFile
    ? [nameOrFile]
    : [`connectors/${nameOrFile}.conformance.ts`, `connectors/${nameOrFile}/conformance.ts`]
  const file = candidates.map((candidate) => resolve(candidate)).find((candidate) => existsSync(candidate))
  if (file === undefined) throw noSpec(`There is no ${candidates.join(' and no ')}.`)
  const loaded: { readonly default?: unknown } = await import(pathToFileURL(file).href)
  if (!isSpec(loaded.default)) throw noSpec(`${file} does not export a ConformanceSpec as default.`)
  return loaded.default
}

const COLOR = { pass: 'green', fail: 'red', 'not applicable': 'dim' } as const

export function connectorCommand(signal: AbortSignal): Command {
  const test = command('test', 'Prove a connector against its fixture: a named pass or fail per line', [
    [
      'rescore connector test acme',
      'connectors/acme.conformance.ts, on a PostgreSQL of its own; exit 3 when one fails',
    ],
    ['rescore connector test acme --only killed ties', 'only the checks whose names hold one of these'],
  ])
    .argument('<name>')
    .option('--only <parts...>', 'parts of names of checks')
    .action(async (name: string, { only, json }: TestOptions) => {
      const spec = await loadSpec(name)
      const onLine = (line: Line) => print(paint(lineText(line), COLOR[line.result]))
      const shown = json === true ? {} : { onLine }
      const lines = await withScratchDatabase(process.env.DATABASE_URL, (pool) =>
        runConformance(spec, { pool, signal, ...shown, ...(only === undefined ? {} : { only }) }),
      )
      if (lines.some(({ result }) => result === 'fail')) process.exitCode = EXIT.problems
      if (json === true) printJson(lines)
    })
  const begin = connectorNewCommand(signal)
  for (const each of [test, begin]) each.exitOverride().showHelpAfterError('(see --help)')
  return command('connector', 'Work on a connector of this project', [
    ['rescore connector new acme --from https://api.acme.com/openapi.json', 'begin one'],
    ['rescore connector test acme', 'prove it against its fixture'],
  ])
    .enablePositionalOptions()
    .addCommand(begin)
    .addCommand(test)
}
