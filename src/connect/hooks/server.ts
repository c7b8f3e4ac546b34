/**
 * The endpoint that webhooks of sources are sent to.
 *
 * Invariants: 2xx only after the events are committed, so a source that got none sends them again; what is not genuine is
 * refused by its headers where that is possible, else after at most `maxBytes`, and never touches the database; memory
 * and connections are bounded, whatever is sent and however slowly. State is in the database alone.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { WebhookHeaders, WebhookReceiver } from '../../define/index.ts'
import { asError, RescoreError } from '../../errors.ts'
import type { ConnectLog } from '../options.ts'
import type { Taken } from './take.ts'

export interface WebhookRoute {
  readonly connector: string
  readonly receiver: WebhookReceiver
  /** Resolves when the events are committed. */
  take(events: ReturnType<WebhookReceiver['events']>): Promise<Taken>
}

export interface WebhookServerOptions {
  readonly port: number
  readonly host?: string | undefined
  readonly routes: readonly WebhookRoute[]
  readonly log: ConnectLog
  readonly clock?: { now(): number }
  /** Bytes of bodies held at once; beyond it calls are answered 503. Default 16 MiB. */
  readonly maxHeldBytes?: number
}

export interface WebhookServer extends AsyncDisposable {
  readonly port: number
  /** Answered, by status. */
  readonly answered: Readonly<Record<number, number>>
  /** Of bodies, now. */
  readonly heldBytes: number
}

const MAX_CONNECTIONS = 256
const SAY_EVERY_MS = 10_000

class Refusal extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

function headersOf(request: IncomingMessage): WebhookHeaders {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
}

class Endpoint {
  readonly answered: Record<number, number> = {}
  heldBytes = 0
  readonly #options: WebhookServerOptions
  readonly #now: () => number
  #refused = 0
  #saidMs = Number.NEGATIVE_INFINITY

  constructor(options: WebhookServerOptions) {
    this.#options = options
    this.#now = () => (options.clock ?? Date).now()
  }

  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // The request lets go of it when the caller hangs up.
    const { socket } = request
    try {
      await this.#handle(request)
      this.#answer(response, 204)
    } catch (error) {
      if (error instanceof Refusal) this.#sayRefused(error)
      else this.#options.log.warn({ error: asError(error).message }, 'A webhook could not be taken; it comes again.')
      // What has not been read is not worth reading.
      if (!request.complete) {
        response.setHeader('connection', 'close')
        response.once('finish', () => socket.destroySoon())
      }
      this.#answer(response, error instanceof Refusal ? error.status : 503)
    }
  }

  async #handle(request: IncomingMessage): Promise<void> {
    const { method = '', url = '/' } = request
    const [path = '', query] = url.split('?', 2)
    const route = this.#options.routes.find(({ receiver }) => receiver.path === path)
    if (route === undefined) throw new Refusal(404, 'nothing is listened for there')
    if (method !== 'POST') throw new Refusal(405, 'it is no POST')
    const { receiver } = route
    const headers = headersOf(request)
    const why = receiver.refusal(headers, this.#now())
    if (why !== null) throw new Refusal(401, why)
    if (Number(headers['content-length'] ?? 0) > receiver.maxBytes) throw new Refusal(413, 'its body is too large')
    const body = await this.#body(request, receiver.maxBytes)
    try {
      const call = { method, query: query === undefined ? '' : `?${query}`, headers, body }
      if (!receiver.isGenuine(call)) throw new Refusal(401, 'its signature is wrong')
      await route.take(this.#events(receiver, body))
    } finally {
      this.heldBytes -= body.length
    }
  }

  #events(receiver: WebhookReceiver, body: Buffer): ReturnType<WebhookReceiver['events']> {
    try {
      return receiver.events(body.toString('utf8'))
    } catch (error) {
      if (error instanceof TypeError) throw new Refusal(400, error.message)
      throw error
    }
  }

  /** Counted in `heldBytes`: the caller gives it back. */
  async #body(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
    const { maxHeldBytes = 16 * 1024 * 1024 } = this.#options
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      // Destroying it would take the answer with it.
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        bytes += chunk.length
        this.heldBytes += chunk.length
        if (bytes > maxBytes) throw new Refusal(413, 'its body is too large')
        if (this.heldBytes > maxHeldBytes) throw new Refusal(503, 'too many come at once')
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    } catch (error) {
      this.heldBytes -= bytes
      throw error
    }
  }

  #answer(response: ServerResponse, status: number): void {
    this.answered[status] = (this.answered[status] ?? 0) + 1
    if (!response.destroyed) response.writeHead(status, { 'content-length': '0' }).end()
  }

  /** A flood must not fill the log. */
  #sayRefused({ status, message }: Refusal): void {
    this.#refused += 1
    if (performance.now() - this.#saidMs < SAY_EVERY_MS) return
    this.#options.log.warn({ status, why: message, since: this.#refused }, 'Webhooks were refused.')
    this.#saidMs = performance.now()
    this.#refused = 0
  }
}

/** @throws RescoreError CONNECT_WEBHOOK_PORT */
export async function startWebhookServer(options: WebhookServerOptions): Promise<WebhookServer> {
  const endpoint = new Endpoint(options)
  const limits = { maxHeaderSize: 16_384, headersTimeout: 5_000, requestTimeout: 15_000, keepAliveTimeout: 10_000 }
  const server = createServer(limits, (request, response) => {
    endpoint.serve(request, response).catch((error: unknown) => {
      options.log.warn({ error: asError(error).message }, 'A webhook could not be answered.')
      response.destroy()
    })
  })
  server.maxConnections = MAX_CONNECTIONS
  // A request that was refused is left half read; its error is of no interest then.
  server.on('request', (request) => request.on('error', () => undefined))
  server.listen(options.port, options.host ?? '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch (error) {
    throw new RescoreError({
      code: 'CONNECT_WEBHOOK_PORT',
      fate: 'stop',
      message: `Webhooks cannot be listened for on port ${options.port}: ${asError(error).message}.`,
      mend: 'Choose another port: webhooks: { port } in rescore.config.ts.',
      cause: error,
    })
  }
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    answered: endpoint.answered,
    get heldBytes() {
      return endpoint.heldBytes
    },
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
