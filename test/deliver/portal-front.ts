/**
 * Stands before a simulated portal: makes property groups and properties itself, so that a test sees each being made, and
 * answers batch updates as a test wants. All else goes through.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Simulator } from '../simulator/index.ts'
import { property } from '../simulator/schema.ts'

export interface BatchUpdate {
  readonly inputs: readonly {
    readonly id: string
    readonly objectWriteTraceId?: string
    readonly properties: Readonly<Record<string, string>>
  }[]
}

export interface PortalFront extends AsyncDisposable {
  readonly url: string
  /** Names of groups and properties, as they were made. */
  readonly made: string[]
  readonly updates: BatchUpdate[]
  /** Instead of the portal's answer to a batch update; undefined: the portal's own. */
  answer: (update: BatchUpdate) => { readonly status: number; readonly body: object } | undefined
  /** What the portal did is not told: the connection breaks. */
  losesAnswers: boolean
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

export async function startPortalFront(simulator: Simulator): Promise<PortalFront> {
  const groups = new Map<string, object>()
  const made: string[] = []
  const updates: BatchUpdate[] = []

  function schema(method: string, path: string, text: string, response: ServerResponse): boolean {
    const match = /\/properties\/(?:2026-09\/)?companies(\/groups)?(?:\/([a-z_]+))?$/.exec(path)
    if (match === null) return false
    const [, isGroup, name] = match
    if (method === 'GET' && isGroup === undefined) return false
    const found = groups.get(name ?? '')
    if (method === 'GET') {
      reply(response, found === undefined ? 404 : 200, found ?? { status: 'error', message: 'resource not found' })
      return true
    }
    const body = JSON.parse(text)
    const known =
      isGroup === undefined ? simulator.portal.definitions('companies').has(body.name) : groups.has(body.name)
    if (known) reply(response, 409, { status: 'error', message: `${body.name} already exists`, category: 'CONFLICT' })
    else {
      made.push(body.name)
      if (isGroup !== undefined) groups.set(body.name, body)
      else simulator.portal.defineProperty('companies', property(body.name, body.type))
      reply(response, 201, body)
    }
    return true
  }

  async function pass(request: IncomingMessage, text: string, response: ServerResponse): Promise<void> {
    const answer = await fetch(`${simulator.url}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { authorization: request.headers.authorization ?? '', 'content-type': 'application/json' },
      ...(text === '' ? {} : { body: text }),
    })
    const body = await answer.text()
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(body)
  }

  const front = { made, updates, answer: (_: BatchUpdate) => undefined, losesAnswers: false } as Omit<
    PortalFront,
    'url' | typeof Symbol.asyncDispose
  >
  const server = createServer((request, response) => {
    const serve = async () => {
      const text = await bodyOf(request)
      const path = new URL(request.url ?? '/', simulator.url).pathname
      if (schema(request.method ?? 'GET', path, text, response)) return
      if (!path.endsWith('/batch/update')) return await pass(request, text, response)
      const update: BatchUpdate = JSON.parse(text)
      updates.push(update)
      const own = front.answer(update)
      if (own !== undefined) return reply(response, own.status, own.body)
      if (!front.losesAnswers) return await pass(request, text, response)
      await fetch(`${simulator.url}${request.url}`, {
        method: 'POST',
        headers: { authorization: request.headers.authorization ?? '', 'content-type': 'application/json' },
        body: text,
      })
      response.destroy()
    }
    serve().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return Object.assign(front, {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  })
}
