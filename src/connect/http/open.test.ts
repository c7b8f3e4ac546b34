/** Bodies read as they come, against real sockets. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { HttpRequest } from '../../define/index.ts'
import { createGuard } from '../outgoing/guard.ts'
import { attemptOpen } from './open.ts'
import { Redactor } from './redact.ts'
import { createTransport } from './transport.ts'

async function serve(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return {
    server,
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

const GUARD = createGuard({ where: 'http.allow', mayBeThisMachine: true })
const open = async (baseUrl: string, request: HttpRequest, signal = new AbortController().signal) =>
  (
    await attemptOpen(
      { baseUrl },
      request,
      { transport: createTransport(), redactor: new Redactor(), now: () => 0, guard: GUARD },
      signal,
    )
  ).value

async function whole(chunks: AsyncIterable<string>): Promise<string> {
  let text = ''
  for await (const chunk of chunks) text += chunk
  return text
}

const TEXT = 'blåbær 🚀 '.repeat(20_000)

test.each([
  ['as it is', Buffer.from(TEXT), {}],
  ['a gzip file', gzipSync(TEXT), { 'content-type': 'application/gzip' }],
  ['packed on the way', gzipSync(TEXT), { 'content-encoding': 'gzip' }],
  ['a gzip file packed on the way', gzipSync(gzipSync(TEXT)), { 'content-encoding': 'gzip' }],
  ['nothing', Buffer.alloc(0), {}],
])('a body comes whole: %s', async (_, bytes, headers) => {
  await using at = await serve((__, response) => void response.writeHead(200, headers).end(bytes))
  expect(await whole((await open(at.url, { path: '/' })).chunks)).toBe(bytes.length === 0 ? '' : TEXT)
})

test.each([
  ['a body that is cut short', Buffer.from(TEXT)],
  ['a gzip file that is cut short', gzipSync(Array.from({ length: 50_000 }, (_, at) => at * 7_919).join())],
])('%s is a transient failure, not its end', async (_, bytes) => {
  await using at = await serve((__, response) => {
    response.writeHead(200, { 'content-length': bytes.length })
    response.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => response.socket?.destroy())
  })
  const { chunks } = await open(at.url, { path: '/' })
  await expect(whole(chunks)).rejects.toMatchObject({ kind: 'transient', code: 'CONNECT_NETWORK' })
})

test('a gzip file that ends too early though the answer is whole is a failure too', async () => {
  const bytes = gzipSync(TEXT).subarray(0, 50)
  await using at = await serve((_, response) => void response.end(bytes))
  await expect(whole((await open(at.url, { path: '/' })).chunks)).rejects.toMatchObject({ kind: 'transient' })
})

test('a source that falls silent in the middle is left; a reader that takes its time is not', async () => {
  await using at = await serve((request, response) => {
    response.write('first ')
    if (request.url === '/goes-on') response.end('last')
  })
  const silent = await open(at.url, { path: '/', timeoutMs: 50 })
  await expect(whole(silent.chunks)).rejects.toMatchObject({
    kind: 'transient',
    message: expect.stringContaining('50 ms'),
  })
  const { chunks } = await open(at.url, { path: '/goes-on', timeoutMs: 200 })
  let text = ''
  for await (const chunk of chunks) {
    text += chunk
    await new Promise((resolve) => setTimeout(resolve, 400))
  }
  expect(text).toBe('first last')
})

test('an abort ends the body and its connection', async () => {
  await using at = await serve((_, response) => void response.write('first'))
  const stop = new AbortController()
  const { chunks } = await open(at.url, { path: '/' }, stop.signal)
  const reading = whole(chunks)
  stop.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
})

test('a failure is judged by its status and says what the source said', async () => {
  await using at = await serve((_, response) => void response.writeHead(404).end('{"message":"no such list"}'))
  await expect(open(at.url, { path: '/list' })).rejects.toMatchObject({
    kind: 'config',
    message: 'GET /list answered 404: no such list.',
  })
})

test('what has not changed comes without a body', async () => {
  await using at = await serve((_, response) => void response.writeHead(304, { etag: '"a"' }).end())
  const answer = await open(at.url, { path: '/', ifNoneMatch: '"a"' })
  expect([answer.status, await whole(answer.chunks)]).toEqual([304, ''])
})
