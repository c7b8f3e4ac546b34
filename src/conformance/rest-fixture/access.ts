/** Who a fixture answers: the bearer of the kit's secret, or of a token got by it. */
import type { HttpAuth } from '../../define/index.ts'
import type { FixtureAnswer, FixtureRequest } from '../fixture-server.ts'

const DAY_S = 86_400

export class FixtureAccess {
  readonly #auth: HttpAuth | undefined
  #tokens = 0
  #token: string | undefined

  constructor(auth: HttpAuth | undefined) {
    this.#auth = auth
  }

  /** undefined: let in. */
  answer({ method, path, query, headers, body }: FixtureRequest): FixtureAnswer | undefined {
    const auth = this.#auth
    if (auth === undefined) return undefined
    if (auth.kind === 'oauth' && method === 'POST' && path === auth.tokenUrl)
      return this.#grant(auth.clientSecret, body)
    const given = headers.authorization
    const isLetIn = {
      bearer: () => auth.kind === 'bearer' && given === `Bearer ${auth.token}`,
      basic: () =>
        auth.kind === 'basic' && given === `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString('base64')}`,
      header: () => auth.kind === 'header' && headers[auth.name.toLowerCase()] === auth.value,
      query: () => auth.kind === 'query' && query[auth.name] === auth.value,
      oauth: () => this.#token !== undefined && given === `Bearer ${this.#token}`,
    }[auth.kind]()
    return isLetIn ? undefined : { status: 401, body: { message: 'who are you?' } }
  }

  /** The token in use ends; undefined where there are none. */
  get expire(): (() => void) | undefined {
    if (this.#auth?.kind !== 'oauth') return undefined
    return () => {
      this.#token = undefined
    }
  }

  #grant(secret: string, body: unknown): FixtureAnswer {
    const given = new URLSearchParams(typeof body === 'string' ? body : '')
    if (given.get('client_secret') !== secret) return { status: 401, body: { error: 'invalid_client' } }
    this.#tokens += 1
    this.#token = `fixture-token-${this.#tokens}`
    // The kit's clock leaps: a token that ended by itself at every leap would hide the one that is ended on purpose.
    return { body: { access_token: this.#token, token_type: 'bearer', expires_in: 10_000 * DAY_S } }
  }
}
