/**
 * Outgoing HTTP to an address that somebody configured: one request, one answer, nobody talked into reaching inside.
 *
 * Invariants: the address is judged at the moment of connecting, by the very answer of DNS that is then connected to, so
 * a name that changes its mind reaches nothing; a literal address is judged before. Redirects are not followed. Time
 * and the bytes of the answer are bounded, and nothing is decompressed. Stateless: a crash loses nothing.
 */
import { type LookupAddress, lookup as resolve } from 'node:dns'
import { type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { RescoreError } from '../../errors.ts'
import { type AllowList, allowListOf, refusalOf } from './address.ts'

/** All addresses of a name, as node:dns gives them. */
export type Resolver = (
  host: string,
  options: { readonly family: number | 'IPv4' | 'IPv6'; readonly hints: number; readonly all: true },
  callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
) => void

export interface OutgoingOptions {
  /** Hosts, addresses and networks inside that may be reached, over plain HTTP too. */
  readonly allow?: readonly string[]
  /** Default: the machine's resolver. */
  readonly resolver?: Resolver
  /** Whole request, ms; default 15,000. */
  readonly timeoutMs?: number
  /** Bytes of the answer that are read; default 64 KiB. */
  readonly maxAnswerBytes?: number
  /** Ports besides 443 (and 80 where plain HTTP is allowed) to hosts that are not on the allow list. */
  readonly ports?: readonly number[]
}

export interface OutgoingRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly signal: AbortSignal
}

export interface OutgoingAnswer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export type Outgoing = (request: OutgoingRequest) => Promise<OutgoingAnswer>

function refused(url: URL, why: string): RescoreError {
  return new RescoreError({
    code: 'CONNECT_ADDRESS_REFUSED',
    fate: 'stop',
    message: `${url.protocol}//${url.host} may not be reached: ${why}.`,
    mend: 'Use a public https:// address, or name the host in the allow list of this delivery if it is your own.',
    context: { host: url.host },
  })
}

function failed(code: string, url: URL, why: string, cause?: unknown): RescoreError {
  return new RescoreError({
    code,
    fate: 'retry',
    message: `${url.protocol}//${url.host} ${why}.`,
    mend: 'It is repeated by itself. If it lasts, check the host and the network path to it.',
    cause,
  })
}

const bareHost = (url: URL) => url.hostname.replace(/^\[|\]$/g, '')

/** @throws RescoreError CONNECT_ADDRESS_REFUSED for what no answer of DNS could make right */
export function checkUrl(text: string, allow: AllowList, ports: readonly number[] = []): URL {
  if (!URL.canParse(text)) {
    throw new RescoreError({
      code: 'CONNECT_ADDRESS_REFUSED',
      fate: 'stop',
      message: 'The address of the delivery is not a URL.',
      mend: 'Write it in full: https://hooks.example.com/rescore',
    })
  }
  const url = new URL(text)
  const host = bareHost(url)
  const isOwn = allow.allowsHost(host) || allow.allowsAddress(host)
  if (url.protocol !== 'https:' && url.protocol !== 'http:') throw refused(url, 'it is neither http nor https')
  if (url.protocol === 'http:' && !isOwn) throw refused(url, 'plain http is only for hosts on the allow list')
  if (url.username !== '' || url.password !== '') throw refused(url, 'it carries a user name or a password')
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  if (!isOwn && port !== 443 && !ports.includes(port)) throw refused(url, `port ${port} is not on the list`)
  const why = isIP(host) === 0 ? null : refusalOf(host)
  if (why !== null && !isOwn) throw refused(url, `${host} is ${why}`)
  return url
}

/** Answers only addresses that may be connected to; one that may not refuses all, so that no order of answers helps. */
function guardedLookup(url: URL, allow: AllowList, resolver: Resolver): LookupFunction {
  return (host, options, callback) => {
    resolver(host, { family: options.family ?? 0, hints: options.hints ?? 0, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const isOwn = allow.allowsHost(host)
      for (const { address } of addresses) {
        const why = isOwn || allow.allowsAddress(address) ? null : refusalOf(address)
        if (why !== null) return callback(refused(url, `it leads to ${address}, which is ${why}`), [])
      }
      const [first] = addresses
      if (options.all === true) callback(null, [...addresses])
      else if (first === undefined) callback(new Error(`${host} has no address`), '')
      else callback(null, first.address, first.family)
    })
  }
}

async function readAnswer(response: IncomingMessage, most: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response) {
    chunks.push(chunk)
    bytes += chunk.length
    // Nothing further down is of use to anybody.
    if (bytes >= most) break
  }
  return Buffer.concat(chunks).subarray(0, most).toString('utf8')
}

function answered(sent: ClientRequest, body: Uint8Array | undefined): Promise<IncomingMessage> {
  return new Promise((settle, reject) => {
    sent.once('response', settle)
    sent.once('error', reject)
    sent.end(body)
  })
}

/**
 * @returns a function that sends one request; it throws RescoreError CONNECT_ADDRESS_REFUSED (stop), CONNECT_TIMEOUT or
 *   CONNECT_CALL_FAILED (retry)
 */
export function createOutgoing(options: OutgoingOptions = {}): Outgoing {
  const { resolver = resolve, timeoutMs = 15_000, maxAnswerBytes = 64 * 1024, ports = [] } = options
  const allow = allowListOf(options.allow ?? [])
  return async ({ method, url: text, headers, body, signal }) => {
    const url = checkUrl(text, allow, ports)
    const deadline = AbortSignal.timeout(timeoutMs)
    const ended = AbortSignal.any([signal, deadline])
    const send = url.protocol === 'https:' ? requestTls : requestPlain
    try {
      const sent = send(url, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': String(body.byteLength) }) },
        lookup: guardedLookup(url, allow, resolver),
        signal: ended,
        // A connection of its own: one that was kept would have been judged for another request.
        agent: false,
      })
      const response = await answered(sent, body)
      try {
        const answer = await readAnswer(response, maxAnswerBytes)
        return { status: response.statusCode ?? 0, headers: response.headers, body: answer }
      } finally {
        response.destroy()
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RescoreError) throw error
      if (deadline.aborted) throw failed('CONNECT_TIMEOUT', url, `did not answer within ${timeoutMs} ms`, error)
      const why = error instanceof Error ? error.message : String(error)
      throw failed('CONNECT_CALL_FAILED', url, `could not be reached (${why})`, error)
    }
  }
}
