/** The way to the network against real sockets: what is sent, what is followed, what is refused. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { HttpRequest, HttpSettings } from '../../define/index.ts'
import { createGuard, type Resolver } from '../outgoing/guard.ts'
import { attemptHttp } from './client.ts'
import { retryAfterMs } from './failure.ts'
import { Redactor } from './redact.ts'
import { createTransport } from './transport.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => void

async function serve(handle: Handler) {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    handle(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  const dispose = async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return { url, seen, [Symbol.asyncDispose]: dispose }
}

const NOW = Date.UTC(2026, 0, 1)
const ask = (
  settings: HttpSettings,
  request: HttpRequest,
  signal = new AbortController().signal,
  resolver?: Resolver,
) => {
  const own = { allow: settings.allow ?? [], mayBeThisMachine: true, where: 'http.allow' }
  const guard = createGuard(resolver === undefined ? own : { ...own, resolver })
  const environment = { transport: createTransport(), redactor: new Redactor(), now: () => NOW, guard }
  return attemptHttp(settings, request, environment, signal)
}
const answering =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): Handler =>
  (_, response) =>
    void response.writeHead(status, headers).end(body)

describe('a request', () => {
  test('carries query, headers, credential and body as they are declared', async () => {
    await using server = await serve(answering(200, '{"ok":true}', { etag: '"v1"', link: '</b?page=2>; rel="next"' }))
    const settings: HttpSettings = {
      baseUrl: `${server.url}/v1/`,
      auth: { kind: 'query', name: 'key', value: 's3cret' },
      headers: { 'X-App': 'a' },
    }
    const query = { since: '2026', ids: [1, 2], none: undefined }
    const { value } = await ask(settings, { path: '/things', query, ifNoneMatch: '"v0"' })
    const [request] = server.seen
    expect(request?.url).toBe('/v1/things?since=2026&ids=1&ids=2&key=s3cret')
    expect(request?.headers).toMatchObject({ 'x-app': 'a', 'if-none-match': '"v0"' })
    expect(value).toMatchObject({ body: { ok: true }, etag: '"v1"', nextLink: `${server.url}/b?page=2` })
  })

  test('is followed to another host without its credential', async () => {
    await using other = await serve(answering(200, '{"other":true}'))
    await using server = await serve(answering(302, '', { location: `${other.url}/file` }))
    const auth = { kind: 'bearer', token: 'tok-123456' } as const
    const { value } = await ask(
      { baseUrl: server.url, auth, headers: { 'x-own': 'yes' }, allow: ['127.0.0.1'] },
      { path: '/file' },
    )
    expect(value.body).toEqual({ other: true })
    expect(server.seen[0]?.headers).toMatchObject({ authorization: 'Bearer tok-123456', 'x-own': 'yes' })
    expect(other.seen[0]?.headers.authorization).toBeUndefined()
    expect(other.seen[0]?.headers['x-own']).toBeUndefined()
  })

  test('is not followed in a circle', async () => {
    await using server = await serve(answering(302, '', { location: '/again' }))
    await expect(ask({ baseUrl: server.url }, { path: '/again' })).rejects.toMatchObject({ kind: 'config' })
    expect(server.seen.length).toBe(6)
  })

  test('ends with its signal, socket and all', async () => {
    await using server = await serve(() => undefined)
    const stop = new AbortController()
    const call = ask({ baseUrl: server.url }, { path: '/' }, stop.signal)
    const closed = new Promise<void>((resolve) => {
      const look = setInterval(() => {
        const [request] = server.seen
        if (request === undefined) return
        clearInterval(look)
        request.socket.once('close', resolve)
        stop.abort(new Error('enough'))
      }, 5)
    })
    await expect(call).rejects.toThrow('enough')
    await closed
  })
})

describe('an answer', () => {
  test('is unpacked, and its cap counts what is unpacked', async () => {
    const packed = gzipSync(`"${'x'.repeat(100_000)}"`)
    expect(packed.length).toBeLessThan(1_000)
    await using server = await serve(answering(200, packed, { 'content-encoding': 'gzip' }))
    expect((await ask({ baseUrl: server.url }, { path: '/' })).value.text.length).toBe(100_002)
    const capped = ask({ baseUrl: server.url, maxBytes: 50_000 }, { path: '/' })
    await expect(capped).rejects.toMatchObject({ code: 'CONNECT_BODY_TOO_LARGE' })
  })

  test.each<[string, Handler, string, string]>([
    [
      'cut short of its length',
      (_, response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('[1', () => response.socket?.destroy())
      },
      'CONNECT_NETWORK',
      'transient',
    ],
    [
      'cut short in chunks',
      (_, response) => {
        response.write('[1,2]', () => response.socket?.destroy())
      },
      'CONNECT_NETWORK',
      'transient',
    ],
    [
      'packed and cut short',
      (_, response) => {
        response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('[1,2,3]').subarray(0, 12))
      },
      'CONNECT_NETWORK',
      'transient',
    ],
    ['HTML', answering(200, '<html>'), 'CONNECT_BAD_BODY', 'transient'],
    ['empty', answering(200, ''), 'CONNECT_BAD_BODY', 'transient'],
    ['401', answering(401, '{}'), 'CONNECT_UNAUTHORIZED', 'auth'],
    ['403', answering(403, '{}'), 'CONNECT_FORBIDDEN', 'auth'],
    ['403 with a time to wait', answering(403, '{}', { 'retry-after': '60' }), 'CONNECT_RATE_LIMITED', 'rate-limited'],
    ['429', answering(429, 'wait'), 'CONNECT_RATE_LIMITED', 'rate-limited'],
    ['503', answering(503, '<html>'), 'CONNECT_UNAVAILABLE', 'transient'],
    ['503 with a time to wait', answering(503, '', { 'retry-after': '5' }), 'CONNECT_UNAVAILABLE', 'rate-limited'],
    ['404', answering(404, '{"message":"no such list"}'), 'CONNECT_REFUSED', 'config'],
  ])('that is %s is a failure of its own kind', async (_, handle, code, kind) => {
    await using server = await serve(handle)
    await expect(ask({ baseUrl: server.url }, { path: '/list' })).rejects.toMatchObject({ code, kind })
  })

  test('that is accepted, not changed, or without content is none', async () => {
    await using gone = await serve(answering(410, 'gone'))
    expect((await ask({ baseUrl: gone.url }, { path: '/1', accept: [404, 410] })).value.status).toBe(410)
    await using same = await serve(answering(304, ''))
    expect((await ask({ baseUrl: same.url }, { path: '/1', ifNoneMatch: 'x' })).value.status).toBe(304)
    await using empty = await serve(answering(204, ''))
    expect((await ask({ baseUrl: empty.url }, { path: '/1' })).value.body).toBeUndefined()
  })

  test('with rate headers tells the budget', async () => {
    const headers = { 'x-limit': '100', 'x-left': '0', 'x-reset': String(NOW / 1_000 + 30) }
    await using server = await serve(answering(200, '{}', headers))
    const rateHeaders = { limit: 'x-limit', remaining: 'x-left', reset: 'x-reset', intervalMs: 60_000 }
    expect((await ask({ baseUrl: server.url, rateHeaders }, { path: '/' })).rate).toEqual({
      remaining: 0,
      intervalMs: 30_000,
    })
  })

  test('is judged by the connector where it knows better', async () => {
    await using server = await serve(answering(400, '{"code":"SLOW"}'))
    const failure = () => ({ kind: 'rate-limited', code: 'CONNECT_RATE_LIMITED', waitMs: 5_000 }) as const
    const refused = ask({ baseUrl: server.url, failure }, { path: '/' })
    await expect(refused).rejects.toMatchObject({ kind: 'rate-limited', retryAtMs: NOW + 5_000 })
  })
})

test.each([
  ['7', 7_000],
  ['0.5', 500],
  ['Thu, 01 Jan 2026 00:01:00 GMT', 60_000],
  ['Wed, 31 Dec 2025 00:00:00 GMT', 0],
  ['soon', undefined],
  [undefined, undefined],
])('Retry-After %s is %s ms', (value, expected) => {
  expect(retryAfterMs(value, NOW)).toBe(expected)
})
