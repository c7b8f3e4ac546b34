/**
 * The simulator by itself: `npm run simulator -- --portal FILE|yc:FOLDER|seed:N --port N [--token T] [--no-limits]`.
 * With --replay the dated changes of the directory come as edits made now, a date at a time. Runs until Ctrl-C; nothing is saved, but `curl URL/__sim/state` is.
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  applyYcChange,
  DEFAULT_TOKEN,
  loadPortal,
  loadYcPortal,
  type Portal,
  SimulatorClock,
  seedPortal,
  startSimulator,
  ycChanges,
} from './index.ts'

const HELP = `A HubSpot portal on this machine, for tests and trials.

  --portal WHAT   seed:N (default seed:1), yc:FOLDER, or a file that GET /__sim/state gave
  --port N        default: any free one
  --token T       default: ${DEFAULT_TOKEN}
  --no-limits     without HubSpot's rate limits
  --replay S      with yc: the changes of the next date every S seconds, as edits made now
  --frozen        the clock stands still until /__sim/clock moves it

  npm run simulator -- --portal seed:7 --port 8321
  npm run simulator -- --portal yc:../shared/data/yc --no-limits
`

async function openPortal(what: string, frozen: boolean): Promise<Portal> {
  const clock = frozen ? SimulatorClock.frozenAt(Date.now()) : SimulatorClock.running()
  if (what.startsWith('yc:')) return loadYcPortal(what.slice(3), { clock })
  if (!what.startsWith('seed:')) return loadPortal(JSON.parse(await readFile(what, 'utf8')), frozen ? { clock } : {})
  const seed = Number(what.slice(5))
  if (!Number.isInteger(seed)) throw new Error(`--portal ${what}: the seed must be a whole number.`)
  return seedPortal({ seed, clock })
}

async function replay(portal: Portal, what: string, seconds: number, signal: AbortSignal): Promise<void> {
  if (!what.startsWith('yc:') || !(seconds > 0)) throw new Error('--replay S needs --portal yc:FOLDER and S above 0.')
  for (const { date, changes } of await ycChanges(what.slice(3))) {
    await wait(seconds * 1_000, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (signal.aborted) return
    for (const change of changes) applyYcChange(portal, change)
    process.stdout.write(`${date}: ${changes.length} changes\n`)
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      portal: { type: 'string', default: 'seed:1' },
      port: { type: 'string', default: '0' },
      token: { type: 'string', default: DEFAULT_TOKEN },
      'no-limits': { type: 'boolean', default: false },
      replay: { type: 'string' },
      frozen: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const portal = await openPortal(values.portal, values.frozen)
  const rateLimits = values['no-limits'] ? false : undefined
  const simulator = await startSimulator({ portal, port: Number(values.port), token: values.token, rateLimits })
  process.stdout.write(`HubSpot simulator at ${simulator.url}, token ${simulator.token}\n`)
  process.stdout.write(`Control API at       ${simulator.url}/__sim (see test/simulator/README.md)\n`)
  const stop = new AbortController()
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  try {
    // A replay that fails ends the run; one that comes to its end does not.
    if (values.replay !== undefined) {
      const replaying = replay(portal, values.portal, Number(values.replay), stop.signal)
      await Promise.race([stopped, replaying.then(() => stopped)])
    } else await stopped
  } finally {
    stop.abort()
    await simulator.close()
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${HELP}`)
  process.exitCode = 2
})
