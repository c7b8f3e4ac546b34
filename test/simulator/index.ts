/**
 * A HubSpot portal one can run: in a test, under `rescore dev`, or by itself (main.ts).
 *
 * ```ts
 * await using simulator = await startSimulator({ portal: seedPortal({ seed: 1, companies: 300 }), rateLimits: false })
 * hubspot({ accessToken: simulator.token, baseUrl: simulator.url })
 * simulator.portal.edit('companies', 1001, { numberofemployees: 40 })
 * ```
 */
import type { SimulatorClock } from './clock.ts'
import type { Faults } from './faults.ts'
import type { IndexLag } from './index-lag.ts'
import type { Journal } from './journal.ts'
import type { RateLimits } from './limits.ts'
import { type AppCredentials, DEFAULT_APP } from './oauth.ts'
import type { Portal } from './portal.ts'
import { seedPortal } from './seed-portal.ts'
import { type Counters, SimulatorServer } from './server.ts'
import type { WebhookSender } from './webhooks-out.ts'

export interface SimulatorOptions {
  /** Default: a seeded one. */
  readonly portal?: Portal | undefined
  /** Of the seeded portal; default 1. */
  readonly seed?: number | undefined
  /** Of the seeded portal; one that is given has its own. Default: the machine's. */
  readonly clock?: SimulatorClock | undefined
  readonly indexLag?: IndexLag | 0 | undefined
  readonly port?: number | undefined
  readonly token?: string | undefined
  readonly rateLimits?: Partial<RateLimits> | false | undefined
  /** Whose journal it is; default: DEFAULT_APP. */
  readonly app?: AppCredentials | undefined
  /** Associations answered per record and page; default 500. */
  readonly associationPage?: number | undefined
  /** Closes the simulator when it aborts. */
  readonly signal?: AbortSignal | undefined
}

export interface Simulator extends AsyncDisposable {
  readonly url: string
  readonly token: string
  readonly portal: Portal
  readonly faults: Faults
  readonly app: AppCredentials
  readonly journal: Journal
  readonly webhooks: WebhookSender
  /** Ends every token of the app. */
  expireTokens(): void
  /** Bugs of the simulator itself that were answered as 500. */
  readonly errors: readonly Error[]
  counters(): Counters
  close(): Promise<void>
}

export const DEFAULT_TOKEN = 'pat-simulator'

export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const { seed = 1, clock, indexLag, token = DEFAULT_TOKEN, associationPage = 500, app = DEFAULT_APP, signal } = options
  signal?.throwIfAborted()
  const portal = options.portal ?? seedPortal({ seed, clock, indexLag })
  if (options.portal !== undefined && indexLag !== undefined) portal.indexLag = indexLag
  const server = new SimulatorServer({
    portal,
    token,
    app,
    associationPage,
    rateLimits: options.rateLimits,
    port: options.port,
  })
  const port = await server.listen()
  const close = () => server.close()
  if (signal !== undefined) signal.addEventListener('abort', () => void close(), { once: true })
  return {
    url: `http://127.0.0.1:${port}`,
    token,
    portal,
    faults: server.faults,
    app,
    journal: server.journal,
    webhooks: server.webhooks,
    expireTokens: () => server.tokens.expireTokens(),
    errors: server.errors,
    counters: () => server.counters(),
    close,
    [Symbol.asyncDispose]: close,
  }
}

export { SimulatorClock } from './clock.ts'
export type { PortalDump } from './dump.ts'
export type { Fault, FaultKind, Faults } from './faults.ts'
export type { IndexLag } from './index-lag.ts'
export { JOURNAL_KEPT_MS } from './journal.ts'
export { DEFAULT_LIMITS, type RateLimits } from './limits.ts'
export { type LiveEditOptions, liveEdits } from './live-edits.ts'
export { loadPortal } from './load.ts'
export { DEFAULT_APP } from './oauth.ts'
export { type ObjectType, PORTAL_ID } from './object-types.ts'
export { Portal, type WriteOptions } from './portal.ts'
export { randomFrom } from './rng.ts'
export { type SeedOptions, seedPortal } from './seed-portal.ts'
export type { Counters } from './server.ts'
export type { PortalOptions } from './store.ts'
export { applyYcChange, loadYcPortal, type YcChange, type YcDay, ycChanges } from './yc.ts'
