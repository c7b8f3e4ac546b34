/**
 * Tokens of the app by client credentials, for the journal: `POST /oauth/{v1,v3,2026-09}/token`.
 * Invariant: a token is taken until it expires or until it is ended by `expireTokens`.
 */
import { objectOf } from './body.ts'
import { type Call, ok, type Reply } from './call.ts'
import type { SimulatorClock } from './clock.ts'
import { HubspotFailure } from './failure.ts'
import type { Random } from './rng.ts'

export interface AppCredentials {
  readonly clientId: string
  readonly clientSecret: string
}

export const DEFAULT_APP: AppCredentials = { clientId: 'app-simulator', clientSecret: 'app-secret-simulator' }

const LIVES_MS = 30 * 60_000

export class AppTokens {
  readonly #app: AppCredentials
  readonly #clock: SimulatorClock
  readonly #random: Random
  readonly #endsMs = new Map<string, number>()

  constructor(app: AppCredentials, clock: SimulatorClock, random: Random) {
    this.#app = app
    this.#clock = clock
    this.#random = random
  }

  issue({ body }: Call): Reply {
    const form = objectOf(body, 'body')
    const { clientId, clientSecret } = this.#app
    if (form.client_id !== clientId || form.client_secret !== clientSecret) {
      throw new HubspotFailure(400, 'BAD_CLIENT_SECRET', 'missing or unknown client id or secret')
    }
    if (form.grant_type !== 'client_credentials') {
      throw new HubspotFailure(400, 'BAD_GRANT_TYPE', 'missing or unknown grant type')
    }
    const token = `cc-${this.#random.uuid()}`
    this.#endsMs.set(token, this.#clock.now() + LIVES_MS)
    return ok({ access_token: token, token_type: 'bearer', expires_in: LIVES_MS / 1_000, scope: form.scope ?? '' })
  }

  takes(token: string): boolean {
    return (this.#endsMs.get(token) ?? 0) > this.#clock.now()
  }

  expireTokens(): void {
    this.#endsMs.clear()
  }
}
