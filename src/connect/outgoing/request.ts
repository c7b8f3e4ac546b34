/**
 * One request to the endpoint of a delivery, one answer; nobody is talked into reaching inside (guard.ts).
 * Invariant: redirects are not followed; time and the bytes of the answer are bounded. Stateless: a crash loses nothing.
 */
import { RescoreError } from '../../errors.ts'
import { createTransport, type WireAnswer } from '../http/transport.ts'
import { isSourceError } from '../options.ts'
import { createGuard, type Resolver } from './guard.ts'

export interface OutgoingOptions {
  /** Hosts, addresses and networks inside that may be reached, over plain HTTP too. */
  readonly allow?: readonly string[]
  /** Default: the machine's resolver. */
  readonly resolver?: Resolver
  /** Whole request, ms; default 15,000. */
  readonly timeoutMs?: number
  /** Bytes of the answer that are read; default 64 KiB. */
  readonly maxAnswerBytes?: number
}

export interface OutgoingRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal: AbortSignal
}

export type Outgoing = (request: OutgoingRequest) => Promise<WireAnswer>

function failed(code: string, url: URL, why: string, cause?: unknown): RescoreError {
  return new RescoreError({
    code,
    fate: 'retry',
    message: `${url.protocol}//${url.host} ${why}.`,
    mend: 'It is repeated by itself. If it lasts, check the host and the network path to it.',
    cause,
  })
}

function parsed(text: string): URL {
  if (URL.canParse(text)) return new URL(text)
  throw new RescoreError({
    code: 'CONNECT_ADDRESS_REFUSED',
    fate: 'stop',
    message: 'The address of the delivery is not a URL.',
    mend: 'Write it in full: https://hooks.example.com/rescore',
  })
}

/**
 * @returns a function that sends one request; it throws RescoreError CONNECT_ADDRESS_REFUSED (stop), CONNECT_TIMEOUT or
 *   CONNECT_CALL_FAILED (retry)
 */
export function createOutgoing(options: OutgoingOptions = {}): Outgoing {
  const { timeoutMs = 15_000, maxAnswerBytes = 64 * 1024, allow = [], resolver } = options
  const where = 'the allow list of this delivery'
  const guard = createGuard({ allow, where, ...(resolver === undefined ? {} : { resolver }) })
  // A connection of its own for each: nothing is kept, so nothing is ever judged for another request.
  const transport = createTransport()
  return async ({ method, url: text, headers, body, signal }) => {
    const url = parsed(text)
    const deadline = AbortSignal.timeout(timeoutMs)
    try {
      const request = { method, url: url.href, headers, body, maxBytes: maxAnswerBytes, isCut: true }
      return await transport.send({ ...request, lookup: guard.declared(url) }, AbortSignal.any([signal, deadline]))
    } catch (error) {
      signal.throwIfAborted()
      if (deadline.aborted) throw failed('CONNECT_TIMEOUT', url, `did not answer within ${timeoutMs} ms`, error)
      if (!isSourceError(error)) throw error
      const { code, message, mend } = error
      if (error.kind === 'config')
        throw new RescoreError({ code, fate: 'stop', message, mend, context: { host: url.host } })
      throw failed('CONNECT_CALL_FAILED', url, `could not be reached (${message})`, error)
    }
  }
}
