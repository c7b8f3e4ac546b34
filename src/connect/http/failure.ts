/**
 * What a refused call means: repeated, waited for, or the end of the connector.
 * Invariant: decided by the connector where it knows better, else by the status alone; nothing of the body is shown but
 * a message field, cut short.
 */
import { type HttpAnswer, type HttpFailure, type HttpSettings, SourceError } from '../../define/index.ts'

const REPEATED = 'It is repeated by itself. If it lasts, see the status page of the source.'
const LONGEST_MESSAGE = 300

/** Retry-After: seconds, or a date. @returns milliseconds from now */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined || value === '') return undefined
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1_000
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}

/** A number of seconds from now, or since 1970. @returns milliseconds from now */
function resetMs(value: string | undefined, nowMs: number): number | undefined {
  const seconds = Number(value === '' ? undefined : value)
  if (!Number.isFinite(seconds)) return undefined
  return Math.max(0, seconds > 1_000_000_000 ? seconds * 1_000 - nowMs : seconds * 1_000)
}

export function rateOf(settings: HttpSettings, answer: HttpAnswer, nowMs: number) {
  const { rateHeaders } = settings
  if (rateHeaders === undefined) return undefined
  const header = (name: string | undefined) => (name === undefined ? undefined : answer.headers[name.toLowerCase()])
  const count = (name: string | undefined) => {
    const value = header(name)
    return value === undefined || value === '' || !Number.isFinite(Number(value)) ? undefined : Number(value)
  }
  const limit = count(rateHeaders.limit)
  const remaining = count(rateHeaders.remaining)
  const untilReset = resetMs(header(rateHeaders.reset), nowMs)
  // A window's length is not known from its reset: only an empty one is waited out.
  const intervalMs = remaining === 0 && untilReset !== undefined ? untilReset : rateHeaders.intervalMs
  return {
    ...(limit === undefined || rateHeaders.intervalMs === undefined || remaining === 0 ? {} : { limit }),
    ...(remaining === undefined ? {} : { remaining }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
  }
}

function byStatus(
  settings: HttpSettings,
  answer: HttpAnswer,
  nowMs: number,
): HttpFailure & { code: string; mend: string } {
  const { status, headers } = answer
  const waitMs = retryAfterMs(headers['retry-after'], nowMs)
  const rate = rateOf(settings, answer, nowMs)
  const spent = rate?.remaining === 0 ? rate.intervalMs : undefined
  if (status === 429 || (status === 403 && (waitMs !== undefined || spent !== undefined))) {
    return { kind: 'rate-limited', code: 'CONNECT_RATE_LIMITED', mend: REPEATED, waitMs: waitMs ?? spent ?? 2_000 }
  }
  if (status === 401) {
    return { kind: 'auth', code: 'CONNECT_UNAUTHORIZED', mend: 'Give the connector a credential that is valid.' }
  }
  if (status === 403) {
    return { kind: 'auth', code: 'CONNECT_FORBIDDEN', mend: 'Give the credential the right to read this.' }
  }
  if (status === 408 || status === 423 || status === 425 || status >= 500) {
    const failure = { kind: waitMs === undefined ? 'transient' : 'rate-limited', code: 'CONNECT_UNAVAILABLE' } as const
    return { ...failure, mend: REPEATED, ...(waitMs === undefined ? {} : { waitMs }) }
  }
  const mend = 'The request is wrong for this source: check base URL, path and parameters of the connector.'
  return { kind: 'config', code: 'CONNECT_REFUSED', mend }
}

function messageIn(body: unknown): string {
  if (typeof body !== 'object' || body === null) return ''
  const found = ['message', 'error_description', 'error', 'detail', 'title']
    .map((name) => Reflect.get(body, name))
    .find((value) => typeof value === 'string')
  return typeof found === 'string' ? `: ${found.slice(0, LONGEST_MESSAGE)}` : ''
}

/** @param what the call, without query */
export function failureOf(settings: HttpSettings, what: string, answer: HttpAnswer, nowMs: number): SourceError {
  const known = byStatus(settings, answer, nowMs)
  const { kind, code, mend, waitMs } = { ...known, ...settings.failure?.(answer) }
  return new SourceError({
    kind,
    code,
    mend,
    message: `${what} answered ${answer.status}${messageIn(answer.body)}.`,
    retryAtMs: waitMs === undefined ? undefined : nowMs + waitMs,
  })
}
