/**
 * Bytes out, bytes in: one request over node:http, of connectors and deliveries alike.
 *
 * Invariants: the answer is whole or the call fails (a body that is cut short is never taken for its end); no body
 * outgrows its cap, unpacked; when the signal aborts the socket is destroyed. Without `keepAlive` no socket outlives its
 * call; with it, none outlives `dispose`.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import { pipeline, type Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { SourceError } from '../../define/index.ts'

export interface WireRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | undefined
  readonly maxBytes: number
  /** What lies beyond `maxBytes` is left unread instead of failing the call. */
  readonly isCut?: boolean
  /** Resolves the host, and refuses it (outgoing/guard.ts). Default: the machine's resolver, whatever it answers. */
  readonly lookup?: LookupFunction | undefined
}

export interface WireAnswer {
  readonly status: number
  /** Names in lower case; a repeated header is joined by ', '. */
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
}

export interface Transport extends Disposable {
  /** @throws SourceError of kind transient, or config for a body beyond its cap and a host that is refused */
  send(request: WireRequest, signal: AbortSignal): Promise<WireAnswer>
}

function unpacked(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding']?.toLowerCase()
  const unpack =
    encoding === 'gzip' || encoding === 'x-gzip'
      ? createGunzip()
      : encoding === 'br'
        ? createBrotliDecompress()
        : encoding === 'deflate'
          ? createInflate()
          : undefined
  if (unpack === undefined) return response
  // Its error is the reader's: `unpack` is destroyed with it.
  pipeline(response, unpack, () => undefined)
  return unpack
}

async function readBody(response: IncomingMessage, { maxBytes, isCut = false }: WireRequest): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of unpacked(response)) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes <= maxBytes) continue
    response.destroy()
    if (isCut) return Buffer.concat(chunks).subarray(0, maxBytes).toString('utf8')
    throw new SourceError({
      kind: 'config',
      code: 'CONNECT_BODY_TOO_LARGE',
      message: `The answer is larger than ${maxBytes} bytes.`,
      mend: 'Ask for smaller pages, or raise http.maxBytes of the connector.',
    })
  }
  if (!response.complete) throw new Error('the connection closed before the answer was whole')
  return Buffer.concat(chunks).toString('utf8')
}

function plainHeaders(response: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  )
}

function networkError(thrown: unknown): SourceError {
  if (thrown instanceof SourceError) return thrown
  const reason =
    thrown instanceof Error ? thrown.message || ('code' in thrown ? String(thrown.code) : '') : String(thrown)
  return new SourceError({
    kind: 'transient',
    code: 'CONNECT_NETWORK',
    message: `The call failed on the way: ${reason}.`,
    mend: 'It is repeated by itself. If it lasts, check the network path to the source.',
    cause: thrown,
  })
}

export function createTransport({ keepAlive = false }: { readonly keepAlive?: boolean } = {}): Transport {
  const agents = keepAlive
    ? { http: new HttpAgent({ keepAlive: true }), https: new HttpsAgent({ keepAlive: true }) }
    : undefined
  return {
    async send(wire, signal) {
      const { method, url, headers, body, lookup } = wire
      try {
        signal.throwIfAborted()
        const isHttps = url.startsWith('https:')
        const open = isHttps ? requestHttps : requestHttp
        const agent = agents === undefined ? false : isHttps ? agents.https : agents.http
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          const request = open(
            url,
            { method, headers, agent, signal, ...(lookup === undefined ? {} : { lookup }) },
            resolve,
          )
          request.once('error', reject)
          request.end(body)
        })
        const text = await readBody(response, wire)
        return { status: response.statusCode ?? 0, headers: plainHeaders(response), text }
      } catch (thrown) {
        if (signal.aborted) throw signal.reason
        throw networkError(thrown)
      }
    },
    [Symbol.dispose]() {
      agents?.http.destroy()
      agents?.https.destroy()
    },
  }
}
