/**
 * The simulated HubSpot portal of `rescore dev`: seeded once, saved to `.rescore/portal.json`, edited while it runs.
 *
 * Invariant: what the connector may have read is saved before it can be lost by a stop; after a kill the portal is at
 * most one save older than the database, which keeps the newer rows by their modification time.
 */
import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { liveEdits, loadPortal, type Portal, seedPortal, startSimulator } from '../../test/simulator/index.ts'
import { sleep } from '../db/backoff.ts'
import { asError } from '../errors.ts'
import { devFolder } from './connection.ts'

const SEED = 20_260_101
const COMPANIES = 300
const EDITS_PER_SECOND = 2
const SAVE_EVERY_MS = 2_000
/** The simulator counts no calls here, so the connector need not hold back. */
const WITHOUT_LIMITS = { HUBSPOT_POLL_MS: '500', HUBSPOT_CALLS_PER_10S: '1000', HUBSPOT_SEARCHES_PER_SECOND: '50' }
/** The search index of the real portal lags by seconds; here a change should show while one watches. */
const INDEX_LAG_MS = { min: 100, max: 600 }

export interface DevPortal extends AsyncDisposable {
  readonly url: string
  readonly companies: number
  /** Variables that lead the project's configuration to this portal; set in this process already. */
  readonly environment: Readonly<Record<string, string>>
  startEdits(): void
}

interface Options {
  readonly folder: string
  readonly edits: boolean
  readonly signal: AbortSignal
  readonly warn: (fields: object, message: string) => void
}

async function openPortal(file: string): Promise<Portal> {
  if (existsSync(file)) return loadPortal(JSON.parse(await readFile(file, 'utf8')))
  return seedPortal({ seed: SEED, companies: COMPANIES })
}

/** Written beside and renamed, so that a kill leaves the file before or the file after. */
async function save(portal: Portal, file: string): Promise<void> {
  await writeFile(`${file}.new`, JSON.stringify(portal.dump()), { mode: 0o600 })
  await rename(`${file}.new`, file)
}

/** null when there is a token for the real HubSpot. Sets HUBSPOT_* so that the project's configuration finds it. */
export async function openDevPortal({ folder, edits, signal, warn }: Options): Promise<DevPortal | null> {
  if ((process.env.HUBSPOT_ACCESS_TOKEN ?? '') !== '') return null
  const file = join(devFolder(folder), 'portal.json')
  const portal = await openPortal(file)
  const simulator = await startSimulator({ portal, rateLimits: false, indexLag: INDEX_LAG_MS })
  const environment = {
    HUBSPOT_BASE_URL: simulator.url,
    HUBSPOT_ACCESS_TOKEN: simulator.token,
    ...WITHOUT_LIMITS,
  }
  Object.assign(process.env, environment)
  const closing = new AbortController()
  const until = AbortSignal.any([signal, closing.signal])
  const saving = (async () => {
    while (!until.aborted) {
      await sleep(SAVE_EVERY_MS, until).catch(() => undefined)
      await save(portal, file)
    }
  })()
  let editing: Promise<void> = Promise.resolve()
  return {
    url: simulator.url,
    companies: portal.count('companies'),
    environment,
    startEdits: () => {
      if (!edits) return
      editing = liveEdits(portal, { seed: Date.now() % 1_000_000, perSecond: EDITS_PER_SECOND, signal: until })
    },
    [Symbol.asyncDispose]: async () => {
      closing.abort()
      const ended = await Promise.allSettled([editing, saving])
      for (const one of ended) {
        if (one.status === 'rejected')
          warn({ error: asError(one.reason).message }, 'The simulated portal had a problem.')
      }
      await save(portal, file)
      await simulator.close()
    },
  }
}
