/** `rescore connector`: begin one, prove it against the conformance kit, run it against its fixture. */
import type { Command } from 'commander'
import { type Line, lineText, runConformance, withScratchDatabase } from '../conformance/index.ts'
import { type Common, command } from './command.ts'
import { connectorNewCommand } from './connector-new.ts'
import { connectorServeCommand } from './connector-serve.ts'
import { loadSpec } from './connector-spec.ts'
import { EXIT } from './exit.ts'
import { paint, print, printJson } from './output.ts'

interface TestOptions extends Common {
  readonly only?: string[]
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
  const serve = connectorServeCommand(signal)
  for (const each of [test, begin, serve]) each.exitOverride().showHelpAfterError('(see --help)')
  return command('connector', 'Work on a connector of this project', [
    ['rescore connector new acme --from https://api.acme.com/openapi.json', 'begin one'],
    ['rescore connector test acme', 'prove it against its fixture'],
  ])
    .enablePositionalOptions()
    .addCommand(begin)
    .addCommand(test)
    .addCommand(serve)
}
