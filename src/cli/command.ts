/** What all commands share: the frame with its two examples, and how one ends. */
import { Command } from 'commander'
import { RescoreError } from '../errors.ts'

export interface Common {
  readonly json?: boolean
}

/** A command's `--help` ends with worked examples: [command line, what it does]. */
export function command(name: string, description: string, examples: readonly (readonly [string, string])[]): Command {
  const lines = examples.map(([line, does]) => `  $ ${line}\n      ${does}`)
  return new Command(name)
    .description(description)
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nExamples:\n${lines.join('\n')}`)
}

export function usage(message: string, mend: string): RescoreError {
  return new RescoreError({ code: 'CLI_USAGE', fate: 'stop', message, mend })
}

/** `500ms`, `30s`, `5m`, or a number of seconds; in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(text)
  if (match === null) throw usage(`'${text}' is not a duration.`, 'Write it as 500ms, 30s or 5m.')
  const unit = { ms: 1, s: 1_000, m: 60_000 }[match[2] ?? 's'] ?? 1_000
  return Number(match[1]) * unit
}

export function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1)
    throw usage(`'${text}' is not a whole number from 1 on.`, 'Write for example 100.')
  return count
}
