/**
 * Puts the credential on a request. OAuth tokens are got when needed, shared by all streams, and got anew before they end
 * or when they are refused; a new one that is refused as well is the end of it.
 * Invariant: one token request at a time; every token is known to the redactor before it is used.
 */
import { z } from 'zod'
import { type HttpAuth, type HttpSettings, SourceError } from '../../define/index.ts'
import type { Guard } from '../outgoing/guard.ts'
import type { Redactor } from './redact.ts'
import type { Transport, WireRequest } from './transport.ts'

type Oauth = Extract<HttpAuth, { kind: 'oauth' }>

const tokenAnswer = z.looseObject({
  access_token: z.string().min(1),
  expires_in: z.coerce.number().optional(),
  refresh_token: z.string().optional(),
})

/** Got anew this long before it ends. */
const EARLY_MS = 60_000
const MOST_BYTES = 1024 * 1024

interface Token {
  readonly value: string
  readonly endsMs: number
  readonly afterRefusal: boolean
}

export interface AuthEnvironment {
  readonly transport: Transport
  readonly redactor: Redactor
  readonly now: () => number
  readonly guard: Guard
}

function refused(message: string, status?: number): SourceError {
  const lasting = status === undefined || (status >= 400 && status < 500 && status !== 429 && status !== 408)
  return new SourceError({
    kind: lasting ? 'auth' : 'transient',
    code: 'CONNECT_TOKEN',
    message,
    mend: 'Check client id, client secret and refresh token; a revoked grant has to be given again.',
  })
}

class OauthTokens {
  readonly #auth: Oauth
  readonly #url: string
  #refreshToken: string | undefined
  #token: Token | undefined
  #getting: Promise<Token> | undefined
  #wasRefused = false

  constructor(auth: Oauth, baseUrl: string) {
    this.#auth = auth
    this.#url = /^https?:/.test(auth.tokenUrl) ? auth.tokenUrl : baseUrl.replace(/\/$/, '') + auth.tokenUrl
    this.#refreshToken = auth.refreshToken
  }

  async value(environment: AuthEnvironment, signal: AbortSignal): Promise<string> {
    const { now } = environment
    if (this.#token !== undefined && now() < this.#token.endsMs) return this.#token.value
    this.#getting ??= this.#get(environment, signal).finally(() => {
      this.#getting = undefined
    })
    this.#token = await this.#getting
    return this.#token.value
  }

  /** @returns whether another token is worth a try */
  refuse(value: string): boolean {
    if (this.#token?.value !== value) return true
    const again = !this.#token.afterRefusal
    this.#token = undefined
    this.#wasRefused = true
    return again
  }

  /** The token has been accepted: the next refusal is a new one. */
  accept(value: string): void {
    if (this.#token?.value !== value || !this.#token.afterRefusal) return
    this.#token = { ...this.#token, afterRefusal: false }
  }

  async #get({ transport, redactor, now, guard }: AuthEnvironment, signal: AbortSignal): Promise<Token> {
    const { clientId, clientSecret, scope } = this.#auth
    const grant: Record<string, string> =
      this.#refreshToken === undefined
        ? { grant_type: 'client_credentials' }
        : { grant_type: 'refresh_token', refresh_token: this.#refreshToken }
    const form = {
      ...grant,
      client_id: clientId,
      client_secret: clientSecret,
      ...(scope === undefined ? {} : { scope }),
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    const body = new URLSearchParams(form).toString()
    const lookup = guard.declared(new URL(this.#url))
    const request = { method: 'POST', url: this.#url, headers, body, maxBytes: MOST_BYTES, lookup }
    const answer = await transport.send(request, signal)
    if (answer.status >= 400) throw refused(`The token endpoint answered ${answer.status}.`, answer.status)
    let parsed: z.infer<typeof tokenAnswer>
    try {
      parsed = tokenAnswer.parse(JSON.parse(answer.text))
    } catch {
      throw refused('The token endpoint answered without a token.', 500)
    }
    redactor.add(parsed.access_token)
    if (parsed.refresh_token !== undefined) {
      redactor.add(parsed.refresh_token)
      this.#refreshToken = parsed.refresh_token
    }
    const lastsMs = (parsed.expires_in ?? 3_600) * 1_000
    const afterRefusal = this.#wasRefused
    this.#wasRefused = false
    return { value: parsed.access_token, endsMs: now() + Math.max(lastsMs / 2, lastsMs - EARLY_MS), afterRefusal }
  }
}

const tokensOf = new WeakMap<HttpSettings, OauthTokens>()

function oauthTokens(settings: HttpSettings, auth: Oauth): OauthTokens {
  const found = tokensOf.get(settings) ?? new OauthTokens(auth, settings.baseUrl)
  tokensOf.set(settings, found)
  return found
}

export interface Authenticated {
  readonly request: WireRequest
  /** After a 401. @returns whether another attempt may succeed */
  refused(): boolean
  accepted(): void
}

const asGiven = (request: WireRequest): Authenticated => ({ request, refused: () => false, accepted: () => undefined })

const withHeader = (request: WireRequest, name: string, value: string): WireRequest => ({
  ...request,
  headers: { ...request.headers, [name.toLowerCase()]: value },
})

export async function authenticate(
  settings: HttpSettings,
  request: WireRequest,
  environment: AuthEnvironment,
  signal: AbortSignal,
): Promise<Authenticated> {
  const { auth } = settings
  switch (auth?.kind) {
    case undefined:
      return asGiven(request)
    case 'bearer':
      return asGiven(withHeader(request, 'authorization', `Bearer ${auth.token}`))
    case 'basic': {
      const pair = Buffer.from(`${auth.user}:${auth.password}`).toString('base64')
      return asGiven(withHeader(request, 'authorization', `Basic ${pair}`))
    }
    case 'header':
      return asGiven(withHeader(request, auth.name, auth.value))
    case 'query': {
      const url = new URL(request.url)
      url.searchParams.set(auth.name, auth.value)
      return asGiven({ ...request, url: url.href })
    }
    case 'oauth': {
      const tokens = oauthTokens(settings, auth)
      const token = await tokens.value(environment, signal)
      return {
        request: withHeader(request, 'authorization', `Bearer ${token}`),
        refused: () => tokens.refuse(token),
        accepted: () => tokens.accept(token),
      }
    }
  }
}
