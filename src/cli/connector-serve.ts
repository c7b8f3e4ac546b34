/**
 * `rescore connector serve <name>`: the fixture of a connector as a source to run it against, on the time of now.
 * Invariant: nothing outlives the command; it is in memory, and begins anew each time.
 */
import type { Command } from 'commander'
import { sleep } from '../db/backoff.ts'
import { type Common, command, parseDuration } from './command.ts'
import { loadSpec } from './connector-spec.ts'
import { print, printJson } from './output.ts'

/** It gives no access to anything but what is served here. */
const SECRET = 'fixture-secret'

interface ServeOptions extends Common {
  readonly changeEvery: string
}

export function connectorServeCommand(signal: AbortSignal): Command {
  return command('serve', 'Serve the fixture of a connector, to run the connector against', [
    ['rescore connector serve acme', 'prints its address and its secret, changes a record every 5 s, until Ctrl-C'],
    ['rescore connector serve acme --change-every 100ms', 'a livelier one'],
  ])
    .argument('<name>')
    .option('--change-every <time>', 'how often a record changes', '5s')
    .action(async (name: string, { changeEvery, json }: ServeOptions) => {
      const spec = await loadSpec(name)
      const everyMs = parseDuration(changeEvery)
      await using fixture = await spec.fixture({ secret: SECRET })
      if (json === true) printJson({ connector: spec.name, url: fixture.url, secret: SECRET })
      else print(`${spec.name} answers at ${fixture.url}\nits secret: ${SECRET}\nCtrl-C ends it`)
      while (!signal.aborted) {
        fixture.clock.advance(Math.max(0, Date.now() - fixture.clock.now()))
        await fixture.change?.(1)
        await sleep(everyMs, signal).catch(() => undefined)
      }
    })
}
