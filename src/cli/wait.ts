/** `rescore wait --until-reflected`: read your writes in scripts and tests. */
import type { Command } from 'commander'
import { waitUntilReflected } from '../observe/wait.ts'
import { type Common, command, parseDuration, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson } from './output.ts'

interface Options extends Common {
  readonly untilReflected?: boolean
  readonly timeout: number
}

export function waitCommand(signal: AbortSignal): Command {
  return command('wait', 'Return when everything committed until now is in the classifications', [
    ['rescore wait --until-reflected', 'after your own writes, before you read the result'],
    ['rescore wait --until-reflected --timeout 5m && rescore verify --all', 'check a bulk change'],
  ])
    .option('--until-reflected', 'wait for the classifications (the only thing to wait for so far)')
    .option('--timeout <duration>', 'give up after this long, exit 1', parseDuration, 30_000)
    .action(async (options: Options) => {
      if (options.untilReflected !== true) throw usage('Wait for what?', 'rescore wait --until-reflected')
      const result = await withConnection(({ url }) => waitUntilReflected({ url, timeoutMs: options.timeout, signal }))
      if (options.json === true) printJson(result)
      else print(`reflected up to ${result.lsn} after ${Math.round(result.ms)} ms`)
    })
}
