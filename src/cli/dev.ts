/**
 * `rescore dev`: the main job on real moving parts in one terminal: an embedded PostgreSQL, a HubSpot simulator unless
 * there is a token for the real one, the service, and what it does as it does it.
 *
 * Invariant: everything lives in `.rescore/` of the folder; stopping keeps it, and starting again resumes from it. After
 * a kill the embedded PostgreSQL lives on and is found again.
 */
import { join } from 'node:path'
import type { Command } from 'commander'
import { loadProject, readEnvironment } from '../config.ts'
import { startEmbeddedPostgres } from '../db/embedded.ts'
import { RescoreError } from '../errors.ts'
import { EventLines } from '../observe/events.ts'
import { Health } from '../observe/health.ts'
import { Metrics } from '../observe/metrics.ts'
import { type ServiceOptions, startService } from '../service.ts'
import { type Common, command } from './command.ts'
import { devFolder, findDev, removeDevNote, writeDevNote } from './connection.ts'
import { openDevPortal } from './dev-portal.ts'
import { drained } from './drain.ts'
import { ownFolder, readOwnManifest } from './init-dependency.ts'
import { note, paint, print } from './output.ts'
import { serveProbes } from './serve-probes.ts'
import { refuseTestFaults } from './start.ts'

interface DevOptions extends Common {
  readonly edits: boolean
}

const sinceStart = () => `${(process.uptime()).toFixed(1)} s`

/** Lines for a person, or one JSON object a line. */
function presenter(json: boolean) {
  return {
    say: (event: string, text: string, fields: object = {}) => {
      if (json) print(JSON.stringify({ event, ...fields }))
      else print(text)
    },
    warn: (fields: object, message: string) => {
      if (json) print(JSON.stringify({ event: 'warning', message, ...fields }))
      else note(paint(`${message} ${JSON.stringify(fields)}`, 'yellow', process.stderr))
    },
  }
}

export function devCommand(signal: AbortSignal): Command {
  return command(
    'dev',
    'Run everything here: embedded PostgreSQL, HubSpot or its simulator, the service, live events',
    [
      ['rescore dev', 'watch fields change in the simulated CRM and classifications follow'],
      ['HUBSPOT_ACCESS_TOKEN=… rescore dev', 'the same with your portal; nothing is written to it'],
    ],
  )
    .option('--no-edits', 'let the simulated CRM rest')
    .action(async (options: DevOptions) => {
      refuseTestFaults()
      const folder = process.cwd()
      const running = await findDev(folder)
      if (running !== null) {
        throw new RescoreError({
          code: 'CLI_ALREADY_RUNNING',
          fate: 'stop',
          message: `A 'rescore dev' runs in this folder already (process ${running.pid}).`,
          mend: 'Use that one, or stop it with Ctrl-C.',
        })
      }
      const { say, warn } = presenter(options.json === true)
      const database = await startEmbeddedPostgres({ dataDir: join(devFolder(folder), 'pg'), signal })
      say('postgres', `PostgreSQL ready after ${sinceStart()} (data in .rescore/pg)`, { port: database.port })
      try {
        await runDev({ folder, url: database.url, options, signal, say, warn })
      } finally {
        await removeDevNote(folder)
        await database.stop('fast')
      }
      say('stopped', 'stopped; `rescore dev` resumes from here')
    })
}

interface DevRun extends ReturnType<typeof presenter> {
  readonly folder: string
  readonly url: string
  readonly options: DevOptions
  readonly signal: AbortSignal
}

async function runDev({ folder, url, options, signal, say, warn }: DevRun): Promise<void> {
  await using portal = await openDevPortal({ folder, edits: options.edits, signal, warn })
  if (portal === null) say('hubspot', 'reading your HubSpot portal (HUBSPOT_ACCESS_TOKEN is set)')
  else {
    say('simulator', `HubSpot simulator with ${portal.companies} companies at ${portal.url}`, {
      url: portal.url,
      companies: portal.companies,
    })
  }
  const environment = readEnvironment(process.env)
  const config = await loadProject(folder)
  const health = new Health()
  const metrics = new Metrics((await readOwnManifest(ownFolder())).version)
  // Any free port: several projects may be tried at once, and nobody scrapes a trial.
  await using probes = await serveProbes({ environment, port: 0, url, health, metrics, warn })
  if (probes !== null) {
    say('probes', `health and metrics at ${probes.url} (/healthz, /readyz, /metrics)`, { url: probes.url })
  }
  const work = async () => {
    const service = await startService({
      url,
      config,
      slot: environment.RESCORE_SLOT,
      publication: environment.RESCORE_PUBLICATION,
      signal,
      strict: true,
      // One person's own database: what is written in the folder is what is meant.
      isRollback: true,
      log: { info: () => undefined, warn },
      health,
      metrics,
      ...told({ say, warn }),
    })
    await writeDevNote(folder, { pid: process.pid, url, environment: portal?.environment ?? {} })
    const { rows } = await service.pool.query<{ count: number }>(
      'select count(*)::integer as count from rescore.classification',
    )
    const resumed = rows[0]?.count ?? 0
    if (resumed > 0) say('resumed', `resumed with ${resumed} classifications after ${sinceStart()}`, { resumed })
    say('ready', 'live; in a second terminal: npx rescore status | explain company <id> | verify --all. Ctrl-C stops.')
    portal?.startEdits()
    await service.done
  }
  const onLateFailure = (error: Error) => warn({ error: error.message }, 'Failed while it was ending.')
  await drained(work, { signal, health, onLateFailure })
}

/** What of the running service is worth a line. */
function told({ say, warn }: ReturnType<typeof presenter>): Pick<ServiceOptions, 'report' | 'reportConnector'> {
  const lines = new EventLines(Date.now)
  return {
    report: (event) => {
      const before = lines.firstClassified
      const line = lines.add(event)
      if (before === 0 && lines.firstClassified > 0) {
        say('first-classification', `first classification after ${sinceStart()}`, { seconds: process.uptime() })
      }
      if (line?.kind === 'changed') say('changed', `${new Date().toISOString().slice(11, 19)} ${line.text}`, event)
      else if (line?.kind === 'failed') warn({}, line.text)
    },
    reportConnector: ({ stream, event, landed, error }) => {
      if (event === 'failed') warn({ stream }, error?.message ?? 'the stream failed')
      else if (event === 'landed' && (landed?.rejected ?? 0) > 0)
        warn({ stream }, `${landed?.rejected} records rejected`)
    },
  }
}
