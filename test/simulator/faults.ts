/**
 * Faults on the wire, switched on by a test or over the control API.
 * Invariant: which call a fault hits depends on the order of calls and the seed alone. The first fault of the list that
 * fits a call is taken; one with a count goes away when it is used up.
 */
import { POLICY_MESSAGE, type Policy } from './limits.ts'
import type { Random } from './rng.ts'

export type FaultKind =
  /** An error answer: `status`, with `policy` for 429 and `retryAfterS` where given. 502 and 504 come as HTML. */
  | 'status'
  /** 200, but a page of HTML. */
  | 'html'
  /** The connection is reset before anything is answered. */
  | 'reset'
  /** The whole answer, `delayMs` late. */
  | 'slow'
  /** No answer at all until the client goes away. */
  | 'hang'
  /** Half of the body, then the connection closes. */
  | 'half-body'

export const FAULT_KINDS: readonly FaultKind[] = ['status', 'html', 'reset', 'slow', 'hang', 'half-body']

export interface Fault {
  readonly kind: FaultKind
  readonly status?: number | undefined
  readonly policy?: Policy | undefined
  readonly retryAfterS?: number | undefined
  readonly delayMs?: number | undefined
  /** Calls it hits; default: one, or without end when a probability is given. */
  readonly count?: number | undefined
  /** Calls it lets pass before it begins. */
  readonly skip?: number | undefined
  readonly probability?: number | undefined
  /** Part of `METHOD path`, such as `POST` or `/search`. */
  readonly match?: string | undefined
}

interface Active {
  readonly fault: Fault
  left: number
  skip: number
}

export class Faults {
  readonly #random: Random
  #active: Active[] = []

  constructor(random: Random) {
    this.#random = random
  }

  add(...faults: readonly Fault[]): void {
    for (const fault of faults) {
      const unlimited = fault.probability === undefined ? 1 : Number.POSITIVE_INFINITY
      this.#active.push({ fault, left: fault.count ?? unlimited, skip: fault.skip ?? 0 })
    }
  }

  clear(): void {
    this.#active = []
  }

  /** Faults not used up, with the calls they still hit. */
  pending(): readonly (Fault & { readonly left: number })[] {
    return this.#active.map(({ fault, left }) => ({ ...fault, left }))
  }

  take(call: string): Fault | undefined {
    for (const active of this.#active) {
      const { match, probability = 1 } = active.fault
      if (match !== undefined && !call.includes(match)) continue
      if (active.skip > 0) {
        active.skip -= 1
        continue
      }
      if (probability < 1 && !this.#random.chance(probability)) continue
      active.left -= 1
      if (active.left <= 0) this.#active = this.#active.filter((other) => other !== active)
      return active.fault
    }
    return undefined
  }
}

const STATUS: Readonly<Record<number, readonly [category: string, message: string]>> = {
  401: ['INVALID_AUTHENTICATION', 'Authentication credentials not found.'],
  403: ['MISSING_SCOPES', 'This app has not been granted all required scopes to make this call.'],
  423: ['LOCKED', 'The resource is locked by another operation.'],
  477: ['MIGRATION_IN_PROGRESS', 'This HubSpot account is currently being migrated between data hosting locations.'],
}

export interface ErrorAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

export const HTML_PAGE =
  '<html><head><title>Error</title></head><body><h1>HubSpot</h1><p>Something went wrong.</p></body></html>'

export function limitAnswer(policy: Policy, correlationId: string, retryAfterS?: number): ErrorAnswer {
  const body = {
    status: 'error',
    message: POLICY_MESSAGE[policy],
    errorType: 'RATE_LIMIT',
    correlationId,
    policyName: policy,
  }
  return {
    status: 429,
    headers: {
      'content-type': 'application/json',
      ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
    },
    text: JSON.stringify(body),
  }
}

/** What a fault of kind 'status' answers. */
export function statusAnswer(fault: Fault, correlationId: string): ErrorAnswer {
  const { status = 503, retryAfterS } = fault
  if (status === 429) return limitAnswer(fault.policy ?? 'TEN_SECONDLY_ROLLING', correlationId, retryAfterS)
  const after = retryAfterS ?? (status === 477 ? 10 : undefined)
  const headers = after === undefined ? {} : { 'retry-after': String(after) }
  if (status === 502 || status === 504) {
    return { status, headers: { ...headers, 'content-type': 'text/html' }, text: HTML_PAGE }
  }
  const [category, message] = STATUS[status] ?? ['INTERNAL_ERROR', 'internal error']
  return {
    status,
    headers: { ...headers, 'content-type': 'application/json' },
    text: JSON.stringify({ status: 'error', message, correlationId, category }),
  }
}
