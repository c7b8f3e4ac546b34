/**
 * One attempt of `context.http`: request built, authenticated, sent, read, judged.
 *
 * Invariants: the credential and the connector's own headers go to the base URL's origin only, also after a redirect; every
 * hop is judged before it is connected to, the base URL as what the project wrote down, any other as what it was told; an
 * answer that is not whole, valid JSON where JSON is asked for is a transient failure, never an empty answer.
 */

import { parseJson } from '../../define/exact-json.ts'
import {
  type CallResult,
  type HttpAnswer,
  type HttpRequest,
  type HttpSettings,
  SourceError,
} from '../../define/index.ts'
import { type AuthEnvironment, authenticate } from './auth.ts'
import { failureOf, rateOf } from './failure.ts'
import type { WireAnswer, WireRequest } from './transport.ts'

const MAX_BYTES = 32 * 1024 * 1024
const MOST_REDIRECTS = 5

function urlOf(settings: HttpSettings, { path, query = {} }: HttpRequest): URL {
  const url = new URL(/^https?:/.test(path) ? path : settings.baseUrl.replace(/\/$/, '') + path)
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined) continue
    url.searchParams.delete(name)
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, String(one))
  }
  return url
}

function wireRequest(settings: HttpSettings, request: HttpRequest, isOwn: boolean, url: URL): WireRequest {
  const { body } = request
  const isJson = body !== undefined && typeof body !== 'string'
  const given = Object.entries({ ...(isOwn ? settings.headers : {}), ...request.headers })
  return {
    method: request.method ?? 'GET',
    url: url.href,
    headers: {
      accept: request.expect === 'raw' ? '*/*' : 'application/json',
      'accept-encoding': 'gzip',
      'user-agent': 'rescore',
      ...(isJson ? { 'content-type': 'application/json' } : {}),
      ...(request.ifNoneMatch === undefined ? {} : { 'if-none-match': request.ifNoneMatch }),
      ...Object.fromEntries(given.map(([name, value]) => [name.toLowerCase(), value])),
    },
    body: isJson ? JSON.stringify(body) : body,
    maxBytes: settings.maxBytes ?? MAX_BYTES,
  }
}

/** `<https://…?page=2>; rel="next"` */
function nextLinkOf(header: string | undefined, url: string): string | undefined {
  for (const [, target, parameters] of (header ?? '').matchAll(/<([^>]*)>([^<]*)/g)) {
    if (target !== undefined && /;\s*rel="?([^";]*\s)?next(\s[^";]*)?("|;|,|\s|$)/i.test(parameters ?? '')) {
      return new URL(target, url).href
    }
  }
  return undefined
}

function bodyOf(
  answer: WireAnswer,
  expect: HttpRequest['expect'],
): { readonly body: unknown; readonly valid: boolean } {
  if (expect === 'raw' || answer.text === '')
    return { body: undefined, valid: answer.status === 204 || answer.text !== '' }
  try {
    return { body: parseJson(answer.text), valid: true }
  } catch {
    return { body: undefined, valid: false }
  }
}

function badBody(what: string, { status, text }: WireAnswer): SourceError {
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_BAD_BODY',
    message: `${what} answered ${status} with a body that is not JSON (${text.length} characters).`,
    mend: 'It is repeated by itself. If it lasts, check the base URL: something else may answer there.',
  })
}

interface Exchange<A> {
  readonly sent: A
  /** Where the answer came from, after redirects. */
  readonly url: URL
  /** The call as errors name it, without query. */
  readonly what: string
  readonly signed: Awaited<ReturnType<typeof authenticate>> | undefined
}

/** @param passed told of an answer that only led on */
export async function exchange<A extends Pick<WireAnswer, 'status' | 'headers'>>(
  settings: HttpSettings,
  request: HttpRequest,
  environment: AuthEnvironment,
  signal: AbortSignal,
  send: (wire: WireRequest) => Promise<A>,
  passed?: (answer: A) => void,
): Promise<Exchange<A>> {
  const { guard } = environment
  const base = new URL(settings.baseUrl).origin
  let url = urlOf(settings, request)
  const what = `${request.method ?? 'GET'} ${url.origin === base ? '' : url.origin}${url.pathname}`
  for (let redirects = 0; ; redirects += 1) {
    const isOwn = url.origin === base
    const wire = wireRequest(settings, request, isOwn, url)
    const signed = isOwn ? await authenticate(settings, wire, environment, signal) : undefined
    const lookup = isOwn ? guard.declared(url) : guard.found(url)
    const sent = await send({ ...(signed?.request ?? wire), lookup })
    const { status, headers } = sent
    const location = status >= 301 && status <= 308 && status !== 304 ? headers.location : undefined
    if (location === undefined || wire.method !== 'GET') return { sent, url, what, signed }
    url = new URL(location, url)
    if (redirects >= MOST_REDIRECTS) return { sent, url, what, signed }
    passed?.(sent)
  }
}

/** @throws SourceError when the answer is none */
export function judge(
  settings: HttpSettings,
  request: HttpRequest,
  { what, signed }: Pick<Exchange<unknown>, 'what' | 'signed'>,
  answer: HttpAnswer,
  nowMs: number,
): void {
  const { status } = answer
  if (status === 401 && signed?.refused() === true) {
    const failure = failureOf(settings, what, answer, nowMs)
    throw new SourceError({ ...failure, kind: 'transient', message: failure.message, retryAtMs: nowMs })
  }
  const isSame = status === 304 && request.ifNoneMatch !== undefined
  const isAnswer = (status >= 200 && status < 300) || isSame || request.accept?.includes(status) === true
  if (!isAnswer) throw failureOf(settings, what, answer, nowMs)
}

/** What the runtime learns of its budgets from an answer. */
export function costOf(settings: HttpSettings, answer: HttpAnswer, nowMs: number): Omit<CallResult<unknown>, 'value'> {
  const rate = rateOf(settings, answer, nowMs)
  const free = answer.status === 304 ? settings.unchangedIsFree : undefined
  return { ...(rate === undefined ? {} : { rate }), ...(free === undefined ? {} : { free }) }
}

/** @throws SourceError */
export async function attemptHttp(
  settings: HttpSettings,
  request: HttpRequest,
  environment: AuthEnvironment,
  signal: AbortSignal,
): Promise<CallResult<HttpAnswer>> {
  const { transport, now } = environment
  const made = await exchange(settings, request, environment, signal, (wire) => transport.send(wire, signal))
  const { sent, url, what, signed } = made
  const { status, headers, text } = sent
  const { body, valid } = bodyOf(sent, request.expect)
  const nextLink = nextLinkOf(headers.link, url.href)
  const answer: HttpAnswer = { url: url.href, status, headers, text, body, etag: headers.etag, nextLink }
  judge(settings, request, made, answer, now())
  if (!valid && status >= 200 && status < 300) throw badBody(what, sent)
  signed?.accepted()
  return { value: answer, ...costOf(settings, answer, now()) }
}
