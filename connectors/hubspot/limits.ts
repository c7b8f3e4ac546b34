/** What reading and writing share: the version of the API, and one allowance of calls. */
import type { Budget } from '../../src/define/index.ts'

/** Dated versions are supported for 18 months; 'v3' is read too. */
export const HUBSPOT_API_VERSION = '2026-09'

/** Name under which all calls with the portal's token are counted. */
export const HUBSPOT_CREDENTIAL = 'hubspot'

/** Defaults 90 and 4: below the smallest allowance HubSpot gives. */
export function hubspotBudgets(options: {
  readonly callsPer10s?: number | undefined
  readonly searchesPerSecond?: number | undefined
}): readonly Budget[] {
  return [
    { key: 'burst', calls: options.callsPer10s ?? 90, perMs: 10_000, concurrency: 6 },
    { key: 'search', calls: options.searchesPerSecond ?? 4, perMs: 1_000, concurrency: 2 },
  ]
}

/** The journal's own allowance is 100 calls a minute; it counts towards no other. */
export const JOURNAL_BUDGET: Budget = { key: 'journal', calls: 80, perMs: 60_000, concurrency: 1 }
