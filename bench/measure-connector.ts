/**
 * First load of a HubSpot portal through the real connector: until every record is in the source tables, and until every
 * company is classified by the repository's own models. The portal is the simulator, without rate limits on either side.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sleep } from '../src/db/backoff.ts'
import type { PortalOpened, PortalOrder } from './children/messages.ts'
import type { BenchContext, BenchDatabase } from './context.ts'
import type { Measurement } from './measurement.ts'
import { type ServiceProcess, startServiceProcess } from './service-process.ts'
import { perSecond, round } from './statistics.ts'

const COMPANIES = 20_000
const LOAD_WITHIN_MS = 1_800_000
const LOOK_EVERY_MS = 100

export const connector: Measurement = {
  name: 'connector',
  run: async (context) => {
    const { signal, say } = context
    const companies = context.scaled(COMPANIES, 200)
    await using database = await context.createEmpty('connector')
    say(`connector: seeding a portal of ${companies} companies`)
    using portal = startPortal()
    const { url, token, records } = await portal.open({ companies }, signal)
    const total = Object.values(records).reduce((sum, count) => sum + count, 0)
    say(`connector: loading ${JSON.stringify(records)}`)
    await using service = await startServiceProcess({
      url: database.url,
      slot: 'bench_connector',
      project: { url, token },
      signal,
      say,
    })
    const landedMs = (await allLanded(context, database, records)) - service.startedMs
    await allClassified(database, service, records.companies ?? 0)
    const classifiedMs = performance.now() - service.startedMs
    const { cpuSeconds, peakRssMb } = await service.figures()
    return {
      records,
      recordsLandedPerSecond: perSecond(total, landedMs),
      companiesLandedPerSecond: perSecond(companies, landedMs),
      secondsToLanded: round(landedMs / 1000, 2),
      companiesClassifiedPerSecond: perSecond(companies, classifiedMs),
      secondsToClassified: round(classifiedMs / 1000, 2),
      cpuSeconds: round(cpuSeconds, 2),
      peakRssMb,
    }
  },
}

function startPortal() {
  const child: ChildProcess = fork(fileURLToPath(new URL('./children/portal.ts', import.meta.url)), [], {
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  return {
    open: async (order: PortalOrder, signal: AbortSignal): Promise<PortalOpened> => {
      const gone = new AbortController()
      child.once('exit', () => gone.abort(new Error('The simulator ended before it listened.')))
      child.send(order)
      const [opened]: PortalOpened[] = await once(child, 'message', { signal: AbortSignal.any([signal, gone.signal]) })
      if (opened === undefined) throw new Error('The simulator said nothing.')
      return opened
    },
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  }
}

/** When every record of the portal was found in the source tables, as performance.now(). */
async function allLanded(
  { signal, say }: BenchContext,
  { pool }: BenchDatabase,
  records: Readonly<Record<string, number>>,
): Promise<number> {
  const deadline = performance.now() + LOAD_WITHIN_MS
  const tables = Object.keys(records)
  const counts = tables.map((table) => `(select count(*)::integer from hubspot.${table}) as ${table}`).join(', ')
  for (let look = 1; ; look += 1) {
    const { rows } = await pool.query<Record<string, number>>(`select ${counts}`)
    if (tables.every((table) => rows[0]?.[table] === records[table])) return performance.now()
    if (performance.now() > deadline) throw new Error(`The portal did not load in time: ${JSON.stringify(rows[0])}.`)
    if (look % 50 === 0) say(`connector: ${JSON.stringify(rows[0])}`)
    await sleep(LOOK_EVERY_MS, signal)
  }
}

async function allClassified({ pool }: BenchDatabase, service: ServiceProcess, companies: number): Promise<void> {
  await service.reflected(LOAD_WITHIN_MS)
  const { rows } = await pool.query<{ model: string; count: number }>(
    'select model, count(*)::integer as count from rescore.classification group by model',
  )
  const short = rows.filter(({ count }) => count !== companies)
  if (rows.length === 0 || short.length > 0) {
    throw new Error(`Reflected, but not every one of ${companies} companies is classified: ${JSON.stringify(rows)}.`)
  }
}
