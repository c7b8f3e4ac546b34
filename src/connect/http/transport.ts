/**
 * Bytes out, bytes in: one request over node:http, of connectors and deliveries alike.
 *
 * Invariants: the answer is whole or the call fails (a body that is cut short is never taken for its end); no body
 * outgrows its cap, unpacked; when the signal aborts the socket is destroyed. Without `keepAlive` no socket outlives its
 * call; with it, none outlives `dispose`. A streamed body (`open`) holds one chunk at a time, whatever its size.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import { pipeline, Readable } from 'node:stream'
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

export interface WireStream {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Unpacked. To be read to its end, or left. */
  body(idleMs: number): AsyncGenerator<Buffer, void, void>
  /** Ends the connection of a body that nobody reads. */
  drop(): void
}

export interface Transport extends Disposable {
  /** @throws SourceError of kind transient, or config for a body beyond its cap and a host that is refused */
  send(request: WireRequest, signal: AbortSignal): Promise<WireAnswer>
  /** Resolves when the answer begins. @throws SourceError of kind transient, here and while the body is read */
  open(request: WireRequest, signal: AbortSignal): Promise<WireStream>
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

const isGzip = (head: Buffer) => head[0] === 0x1f && head[1] === 0x8b

/** A gzip file is unpacked, anything else passed on. */
async function* unzipped(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  const chunks = source[Symbol.asyncIterator]()
  let head: Buffer = Buffer.alloc(0)
  while (head.length < 2) {
    const next = await chunks.next()
    if (next.done === true) break
    head = Buffer.concat([head, next.value])
  }
  const whole = async function* (): AsyncGenerator<Buffer, void, void> {
    yield head
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  }
  if (!isGzip(head)) {
    yield* whole()
    return
  }
  const unpack = createGunzip()
  pipeline(Readable.from(whole()), unpack, () => undefined)
  yield* unpack
}

/** Ends the connection when no byte comes for `idleMs` while one is waited for; a slow reader does not count. */
async function* patiently(response: IncomingMessage, idleMs: number): AsyncGenerator<Buffer, void, void> {
  const chunks = unpacked(response)[Symbol.asyncIterator]()
  for (;;) {
    const timer = setTimeout(() => response.destroy(new Error(`no byte came for ${idleMs} ms`)), idleMs)
    const next = await chunks.next().finally(() => clearTimeout(timer))
    if (next.done === true) break
    yield next.value
  }
  if (!response.complete) throw new Error('the connection closed before the answer was whole')
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
  const respond = ({ method, url, headers, body, lookup }: WireRequest, signal: AbortSignal) =>
    new Promise<IncomingMessage>((resolve, reject) => {
      signal.throwIfAborted()
      const isHttps = url.startsWith('https:')
      const open = isHttps ? requestHttps : requestHttp
      const agent = agents === undefined ? false : isHttps ? agents.https : agents.http
      const resolving = lookup === undefined ? {} : { lookup }
      const request = open(url, { method, headers, agent, signal, ...resolving }, resolve)
      request.once('error', reject)
      request.end(body)
    })
  const named = (thrown: unknown, signal: AbortSignal) => (signal.aborted ? signal.reason : networkError(thrown))
  return {
    async send(request, signal) {
      try {
        const response = await respond(request, signal)
        const text = await readBody(response, request)
        return { status: response.statusCode ?? 0, headers: plainHeaders(response), text }
      } catch (thrown) {
        throw named(thrown, signal)
      }
    },
    async open(request, signal) {
      try {
        const response = await respond(request, signal)
        // Before it is read, an error has nobody to hear it; the reader gets it all the same.
        response.on('error', () => undefined)
        return {
          status: response.statusCode ?? 0,
          headers: plainHeaders(response),
          async *body(idleMs) {
            try {
              yield* unzipped(patiently(response, idleMs))
            } catch (thrown) {
              throw named(thrown, signal)
            } finally {
              response.destroy()
            }
          },
          drop: () => void response.destroy(),
        }
      } catch (thrown) {
        throw named(thrown, signal)
      }
    },
    [Symbol.dispose]() {
      agents?.http.destroy()
      agents?.https.destroy()
    },
  }
}
