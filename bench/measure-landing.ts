/**
 * What the connector runtime does beside a first load: a million records landed by one stream, with what that takes of
 * memory as it goes; records of HubSpot that changed, read incrementally; and classifications written back to HubSpot.
 *
 * The runtime, the simulator and the load run in this one process, without rate limits on either side: figures are those
 * of all three together. The million comes from a stream that makes them up, so that nothing but landing is measured.
 */

import { z } from 'zod'
import { hubspot, hubspotDelivery } from '../connectors/hubspot/index.ts'
import { BudgetBook } from '../src/connect/budget.ts'
import type { ConnectLog } from '../src/connect/options.ts'
import { runPass } from '../src/connect/pass.ts'
import { prepareConnector } from '../src/connect/runner.ts'
import { migrate } from '../src/db/migrate.ts'
import type { Pool } from '../src/db/pool.ts'
import {
  bigint,
  type Connector,
  defineConnector,
  defineStream,
  defineTable,
  number,
  text,
} from '../src/define/index.ts'
import { openDestination } from '../src/deliver/destination.ts'
import { takeOverDue } from '../src/deliver/ledger.ts'
import { runPass as deliverPass } from '../src/deliver/pass.ts'
import { prepareDeliveries } from '../src/deliver/prepare.ts'
import { companies, company, FIELDS, graph } from '../test/deliver/setting.ts'
import { Portal, SimulatorClock, startSimulator } from '../test/simulator/index.ts'
import { property } from '../test/simulator/schema.ts'
import type { BenchContext } from './context.ts'
import type { Figures, Measurement } from './measurement.ts'
import { perSecond, round } from './statistics.ts'

const MILLION = 1_000_000
const CHECKPOINT_EVERY = 10_000
const SAMPLES = 10
const PORTAL = 20_000
const LOG: ConnectLog = { info: () => undefined, warn: () => undefined }

const items = defineTable({
  name: 'made.items',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), amount: number() },
})

/** @param onCheckpoint told how many records have landed */
function madeUp(count: number, onCheckpoint: (landed: number) => void): Connector {
  const stream = defineStream<{ next: number }>({
    name: 'items',
    tables: [items],
    state: { version: 1, schema: z.object({ next: z.number() }) },
    everyMs: 86_400_000,
    async *sync({ state }) {
      for (let id = state?.next ?? 1; id <= count; id += 1) {
        yield { op: 'upsert', table: items, row: { id, name: `item ${id}`, amount: id * 1.5 } }
        if (id % CHECKPOINT_EVERY !== 0 && id !== count) continue
        yield { op: 'checkpoint', state: { next: id + 1 } }
        onCheckpoint(id)
      }
    },
  })
  return defineConnector({ name: 'made', streams: [stream], budgets: [] })
}

async function land({ pool }: { readonly pool: Pool }, count: number, signal: AbortSignal): Promise<Figures> {
  const rssMb: number[] = []
  const step = Math.ceil(count / SAMPLES / CHECKPOINT_EVERY) * CHECKPOINT_EVERY
  const connector = madeUp(count, (landed) => {
    if (landed % step === 0) rssMb.push(Math.round(process.memoryUsage().rss / 1_048_576))
  })
  const options = { pool, connector, signal, log: LOG }
  await prepareConnector(options)
  const [stream] = connector.streams
  if (stream === undefined) throw new TypeError('The connector has a stream.')
  const startedMs = performance.now()
  const { written } = await runPass(options, stream, new BudgetBook())
  const ms = performance.now() - startedMs
  return { records: written, recordsPerSecond: perSecond(written, ms), seconds: round(ms / 1_000, 2), rssMb }
}

async function throughHubspot(context: BenchContext, pool: Pool, count: number): Promise<Figures> {
  const { signal } = context
  const portal = new Portal({ clock: SimulatorClock.frozenAt(Date.parse('2026-06-01T00:00:00Z')) })
  portal.defineProperty('companies', property('growth_label', 'string'))
  portal.defineProperty('companies', property('growth_probability', 'number'))
  for (let id = 1; id <= count; id += 1)
    portal.create('companies', { name: `Company ${id}`, numberofemployees: 1 }, { id })
  await using simulator = await startSimulator({ portal, rateLimits: false, indexLag: 0 })
  const connector = hubspot({
    accessToken: simulator.token,
    baseUrl: simulator.url,
    callsPer10s: 1_000_000,
    searchesPerSecond: 100_000,
    history: [],
    companies,
    contacts: false,
    deals: false,
  })
  const options = { pool, connector, signal, log: LOG, clock: portal.clock }
  await prepareConnector(options)
  const budgets = new BudgetBook()
  const stream = connector.streams.find(({ name }) => name === 'companies')
  if (stream === undefined) throw new TypeError('HubSpot has companies.')
  const timed = async () => {
    const startedMs = performance.now()
    const { written } = await runPass(options, stream, budgets)
    return { records: written, recordsPerSecond: perSecond(written, performance.now() - startedMs) }
  }
  const initial = await timed()
  portal.clock.advance(3_600_000)
  for (let id = 1; id <= count; id += 2) portal.edit('companies', id, { numberofemployees: 2 })
  portal.clock.advance(3_600_000)
  const incremental = await timed()
  const writeBack = await writtenBack(context, pool, { url: simulator.url, token: simulator.token }, count)
  return { initial, incremental, writeBack }
}

async function writtenBack(
  { signal }: BenchContext,
  pool: Pool,
  { url, token }: { readonly url: string; readonly token: string },
  count: number,
): Promise<Figures> {
  const delivery = hubspotDelivery({
    accessToken: token,
    baseUrl: url,
    entity: company,
    fields: FIELDS,
    callsPer10s: 1_000_000,
  })
  await prepareDeliveries(pool, graph, [delivery])
  await pool.query(
    `insert into rescore.classification (model, key, entity, label, probability, probabilities, model_version,
       artifact_hash, fingerprint, features_lsn, snap_lsn)
     select 'growth', i::text, 'company', 'high', 0.75, '{0.75}', '1', 'x', 'x', '0/1', '0/1' from generate_series(1, $1) i`,
    [count],
  )
  const destination = openDestination(delivery, { pool, signal, budgets: new BudgetBook(), log: LOG })
  let written = 0
  const startedMs = performance.now()
  for (;;) {
    await takeOverDue(pool, [delivery])
    const pass = await deliverPass({ pool, delivery, destination, now: Date.now, failures: 0 })
    written += pass.written
    if (pass.failure !== null) throw pass.failure
    if (pass.looked === 0 || pass.pauseMs > 0) break
  }
  return { records: written, recordsPerSecond: perSecond(written, performance.now() - startedMs) }
}

export const landing: Measurement = {
  name: 'landing',
  run: async (context) => {
    const { signal, say } = context
    await using database = await context.createEmpty('landing')
    await migrate(database.pool)
    const records = context.scaled(MILLION, 20_000)
    say(`landing: ${records} records`)
    const million = await land(database, records, signal)
    const companies = context.scaled(PORTAL, 500)
    say(`landing: HubSpot, ${companies} companies`)
    return { million, hubspot: await throughHubspot(context, database.pool, companies) }
  },
}
