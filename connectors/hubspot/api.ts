/**
 * HubSpot over the wire: one client, one request function, every failure named.
 *
 * The official client is used for authentication and transport (`apiRequest`); its retries are off, because they do not
 * reach apiRequest and are shared by all clients of a process. It can neither time out nor abort, and does not notice a
 * body that is cut short: wire.ts does that.
 * Invariant: the token is in no error message; a body that is not whole, valid JSON is a transient failure.
 */
import { Client } from '@hubspot/api-client'
import { type CallResult, type SourceContext, SourceError, type SourceErrorKind } from '../../src/define/index.ts'
import { type HubspotPaths, hubspotPaths } from './paths.ts'
import { watchCall } from './wire.ts'

export interface HubspotRequest {
  readonly budget: 'burst' | 'search'
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
  /** Answer undefined instead of failing when the record is not there. */
  readonly missingIsUndefined?: boolean
}

export interface HubspotApi {
  readonly paths: HubspotPaths
  /** The parsed body, not yet checked; undefined only with `missingIsUndefined`. */
  request(context: SourceContext, request: HubspotRequest): Promise<unknown>
}

interface Failure {
  readonly kind: SourceErrorKind
  readonly code: string
  readonly mend: string
  readonly waitMs?: number
}

const REPEATED = 'It is repeated by itself. If it lasts, see https://status.hubspot.com.'
const POLICY_WAIT_MS: Readonly<Record<string, number>> = {
  SECONDLY: 1_000,
  TEN_SECONDLY_ROLLING: 10_000,
  DAILY: 15 * 60_000,
}

interface ErrorBody {
  readonly message?: string
  readonly policyName?: string
  readonly correlationId?: string
}

function errorBody(text: string): ErrorBody {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}

function failureOf(status: number, body: ErrorBody, retryAfter: string | null): Failure {
  const afterMs = Number(retryAfter) > 0 ? Number(retryAfter) * 1_000 : undefined
  if (status === 401 || status === 530) {
    return {
      kind: 'auth',
      code: 'HUBSPOT_UNAUTHORIZED',
      mend: 'Set HUBSPOT_ACCESS_TOKEN to a service key or private-app token of this portal that has not been revoked.',
    }
  }
  if (status === 403) {
    return {
      kind: 'auth',
      code: 'HUBSPOT_MISSING_SCOPE',
      mend: 'Give the token the scopes of what is read: crm.objects.<type>.read and crm.schemas.<type>.read for each of companies, contacts, deals and custom, tickets for tickets, crm.objects.owners.read for owners; to deliver, crm.objects.companies.write and crm.schemas.companies.write too. Or leave that stream out.',
    }
  }
  if (status === 429) {
    const waitMs = afterMs ?? POLICY_WAIT_MS[body.policyName ?? ''] ?? 2_000
    return { kind: 'rate-limited', code: 'HUBSPOT_RATE_LIMITED', mend: REPEATED, waitMs }
  }
  if (status === 423) return { kind: 'rate-limited', code: 'HUBSPOT_LOCKED', mend: REPEATED, waitMs: afterMs ?? 2_000 }
  if (status === 477)
    return { kind: 'rate-limited', code: 'HUBSPOT_MIGRATING', mend: REPEATED, waitMs: afterMs ?? 10_000 }
  if (status === 408 || status >= 500) return { kind: 'transient', code: 'HUBSPOT_UNAVAILABLE', mend: REPEATED }
  return {
    kind: 'config',
    code: 'HUBSPOT_REFUSED',
    mend: 'This is a fault of the connector or of HUBSPOT_API_VERSION; report it with the message and correlation id.',
  }
}

function headerNumber(value: string | null): number | undefined {
  const parsed = value === null || value === '' ? Number.NaN : Number(value)
  return Number.isFinite(parsed) ? parsed : undefined
}

type HubspotResponse = Awaited<ReturnType<Client['apiRequest']>>

function rateOf(response: HubspotResponse): CallResult<unknown>['rate'] {
  const limit = headerNumber(response.headers.get('x-hubspot-ratelimit-max'))
  const remaining = headerNumber(response.headers.get('x-hubspot-ratelimit-remaining'))
  const intervalMs = headerNumber(response.headers.get('x-hubspot-ratelimit-interval-milliseconds'))
  return {
    ...(limit === undefined ? {} : { limit }),
    ...(remaining === undefined ? {} : { remaining }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
  }
}

/** node-fetch's body is a stream of Node; whoever reads it gets the error. */
function discard(response: HubspotResponse, reason: Error): void {
  const { body } = response
  if (typeof body === 'object' && body !== null && 'destroy' in body && typeof body.destroy === 'function')
    body.destroy(reason)
}

async function readText(sent: Promise<HubspotResponse>, ended: AbortSignal): Promise<[HubspotResponse, string]> {
  const response = await sent
  const onEnd = () => discard(response, ended.reason instanceof Error ? ended.reason : new Error('the call was ended'))
  if (ended.aborted) onEnd()
  ended.addEventListener('abort', onEnd, { once: true })
  try {
    return [response, await response.text()]
  } finally {
    ended.removeEventListener('abort', onEnd)
  }
}

export function hubspotApi(options: {
  readonly accessToken: string
  readonly baseUrl: string
  readonly version: string
}): HubspotApi {
  const { accessToken, baseUrl, version } = options
  const client = new Client({ accessToken, basePath: baseUrl, numberOfApiCallRetries: 0 })
  const clean = (message: string) => (accessToken === '' ? message : message.replaceAll(accessToken, '[token]'))

  const fail = (failure: Failure, message: string, nowMs: number): SourceError =>
    new SourceError({
      kind: failure.kind,
      code: failure.code,
      message: clean(message),
      mend: failure.mend,
      retryAtMs: failure.waitMs === undefined ? undefined : nowMs + failure.waitMs,
    })

  async function attempt(
    request: HubspotRequest,
    signal: AbortSignal,
    nowMs: () => number,
  ): Promise<CallResult<unknown>> {
    const what = `${request.method} ${request.path}`
    let response: HubspotResponse
    let text: string
    try {
      using call = watchCall(signal)
      const sent = client.apiRequest({
        headers: call.headers,
        method: request.method,
        path: request.path,
        ...(request.query === undefined ? {} : { qs: request.query }),
        ...(request.body === undefined ? {} : { body: request.body }),
      })
      ;[response, text] = await readText(sent, call.ended)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw fail({ kind: 'transient', code: 'HUBSPOT_NETWORK', mend: REPEATED }, `${what} failed: ${reason}`, nowMs())
    }
    if (response.status === 404 && request.missingIsUndefined === true) return { value: undefined }
    if (response.status >= 400) {
      const body = errorBody(text)
      const failure = failureOf(response.status, body, response.headers.get('retry-after'))
      const correlation = body.correlationId === undefined ? '' : ` (correlation id ${body.correlationId})`
      throw fail(failure, `${what} answered ${response.status}: ${body.message ?? 'no message'}${correlation}`, nowMs())
    }
    const rate = rateOf(response)
    try {
      const value: unknown = JSON.parse(text)
      return rate === undefined ? { value } : { value, rate }
    } catch {
      throw fail(
        { kind: 'transient', code: 'HUBSPOT_BAD_BODY', mend: REPEATED },
        `${what} answered ${response.status} with a body that is not JSON (${text.length} characters).`,
        nowMs(),
      )
    }
  }

  return {
    paths: hubspotPaths(version),
    request: (context, request) =>
      context.call({ budget: request.budget }, (signal) => attempt(request, signal, () => context.now())),
  }
}
