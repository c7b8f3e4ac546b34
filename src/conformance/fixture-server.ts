/**
 * The smallest server a fixture can be: one function from request to answer.
 *
 * ```ts
 * const server = await startFixtureServer(({ path, query }) => path === '/companies' ? { body: page(query) } : { status: 404 })
 * ```
 * Invariant: closing ends every connection, so a test that ends leaves nothing open.
 */
import { createServer } from 'node:http'

export interface FixtureRequest {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Parsed where it is JSON, else as text; undefined when there is none. */
  readonly body: unknown
}

export interface FixtureAnswer {
  /** Default: 200 */
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent as it is (so that a number may be larger than JavaScript can hold), bytes too, anything else as JSON. */
  readonly body?: unknown
}

export interface FixtureServer extends AsyncDisposable {
  readonly url: string
}

async function readText(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A handler that throws is answered by 500 with its message: a fixture that is wrong should say so. */
export async function startFixtureServer(
  handle: (request: FixtureRequest) => FixtureAnswer | Promise<FixtureAnswer>,
): Promise<FixtureServer> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://fixture')
    let answer: FixtureAnswer
    try {
      answer = await handle({
        method: request.method ?? 'GET',
        path: url.pathname,
        query: Object.fromEntries(url.searchParams),
        headers: Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, value?.toString()])),
        body: parsed(await readText(request)),
      })
    } catch (error) {
      answer = { status: 500, body: { message: error instanceof Error ? error.message : String(error) } }
    }
    const { body = '' } = answer
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
    response.end(typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body))
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
