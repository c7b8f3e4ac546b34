/**
 * The HTTP server: token, limits, faults, route, answer.
 *
 * Order of one call: the URL's length, the fault that is its turn, the token, the rate limit, then the handler. A
 * failure inside a handler that is not HubSpot's own is answered as 500 and kept in `errors`, so that a test sees it.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { ApiSettings } from './call.ts'
import { control } from './control.ts'
import { failureBody, HubspotFailure, invalid } from './failure.ts'
import { type ErrorAnswer, type Fault, Faults, HTML_PAGE, limitAnswer, statusAnswer } from './faults.ts'
import { Journal } from './journal.ts'
import { DEFAULT_LIMITS, RateLimiter, type RateLimits } from './limits.ts'
import { type AppCredentials, AppTokens, DEFAULT_APP } from './oauth.ts'
import type { Portal } from './portal.ts'
import { type Random, randomFrom } from './rng.ts'
import { type Route, routeOf } from './router.ts'
import { WebhookSender } from './webhooks-out.ts'

const LONGEST_URL = 16_384
const LARGEST_BODY = 32 * 1024 * 1024
const JSON_HEADERS = { 'content-type': 'application/json;charset=utf-8' }

export interface ServerOptions extends Partial<ApiSettings> {
  readonly portal: Portal
  readonly token: string
  /** Whose journal it is. */
  readonly app?: AppCredentials | undefined
  /** false: none. Default: those of a professional account. */
  readonly rateLimits?: Partial<RateLimits> | false | undefined
  /** 0: any free one. */
  readonly port?: number | undefined
}

export interface Counters {
  /** Answered by status. */
  readonly byStatus: Readonly<Record<number, number>>
  /** Asked by `METHOD /path` with ids and types left out. */
  readonly byCall: Readonly<Record<string, number>>
  readonly calls: number
  readonly faults: number
  /** Calls being answered. */
  readonly open: number
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > LARGEST_BODY) throw new HubspotFailure(413, 'VALIDATION_ERROR', 'The request is too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parsed(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    throw invalid('Invalid input JSON')
  }
}

const isForm = ({ headers }: IncomingMessage) =>
  headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true

export class SimulatorServer {
  readonly faults: Faults
  /** Bugs of the simulator itself, never HubSpot's own refusals. */
  readonly errors: Error[] = []
  readonly journal: Journal
  readonly webhooks: WebhookSender
  readonly tokens: AppTokens
  readonly #options: ServerOptions
  readonly #server: Server
  readonly #limiter: RateLimiter
  readonly #ids: Random
  readonly #byStatus: Record<number, number> = {}
  readonly #byCall: Record<string, number> = {}
  #calls = 0
  #open = 0
  #faulted = 0

  constructor(options: ServerOptions) {
    const { portal, rateLimits } = options
    this.#options = options
    this.faults = new Faults(randomFrom(portal.seed, 'faults'))
    this.#ids = randomFrom(portal.seed, 'correlation')
    this.journal = new Journal(portal)
    this.webhooks = new WebhookSender(portal)
    this.tokens = new AppTokens(options.app ?? DEFAULT_APP, portal.clock, randomFrom(portal.seed, 'tokens'))
    const limits = rateLimits === false ? false : { ...DEFAULT_LIMITS, ...rateLimits }
    this.#limiter = new RateLimiter(limits, portal.clock)
    this.#server = createServer({ maxHeaderSize: 128 * 1024 }, (request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        if (!request.destroyed && error instanceof Error) this.errors.push(error)
        response.destroy()
      })
    })
  }

  counters(): Counters {
    const byStatus = { ...this.#byStatus }
    return { byStatus, byCall: { ...this.#byCall }, calls: this.#calls, faults: this.#faulted, open: this.#open }
  }

  async listen(): Promise<number> {
    this.#server.listen(this.#options.port ?? 0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: target = '/' } = request
    const text = await readBody(request)
    if (target.length > LONGEST_URL) {
      this.#send(response, { status: 414, headers: { 'content-type': 'text/html' }, text: HTML_PAGE })
      return
    }
    const url = new URL(target, 'http://simulator')
    if (url.pathname.startsWith('/__sim')) {
      this.#send(response, await this.#control(method, url.pathname, text))
      return
    }
    this.#calls += 1
    this.#open += 1
    response.once('close', () => {
      this.#open -= 1
    })
    const name = `${method} ${url.pathname.replace(/\/\d{4,}(?=\/|$)/g, '/{id}')}`
    this.#byCall[name] = (this.#byCall[name] ?? 0) + 1
    const fault = this.faults.take(`${method} ${url.pathname}`)
    if (fault === undefined) this.#send(response, this.#answer(request, method, url, text))
    else await this.#break(fault, response, () => this.#answer(request, method, url, text))
  }

  async #control(method: string, pathname: string, text: string): Promise<ErrorAnswer> {
    const { portal } = this.#options
    const { faults, webhooks, tokens } = this
    const at = { portal, faults, webhooks, tokens, counters: () => this.counters() }
    try {
      const reply = await control(at, method, pathname, parsed(text))
      return this.#json(reply)
    } catch (error) {
      return this.#guarded(() => {
        throw error
      })
    }
  }

  async #break(fault: Fault, response: ServerResponse, answer: () => ErrorAnswer): Promise<void> {
    this.#faulted += 1
    if (fault.kind === 'status') this.#send(response, statusAnswer(fault, this.#ids.uuid()))
    else if (fault.kind === 'html') {
      this.#send(response, { status: 200, headers: { 'content-type': 'text/html' }, text: HTML_PAGE })
    } else if (fault.kind === 'reset') response.socket?.resetAndDestroy()
    else if (fault.kind === 'hang') await once(response, 'close')
    else if (fault.kind === 'slow') {
      const gone = new AbortController()
      response.once('close', () => gone.abort())
      await wait(fault.delayMs ?? 1_000, undefined, { signal: gone.signal })
      this.#send(response, answer())
    } else {
      const { status, headers, text } = answer()
      const whole = Buffer.from(text)
      response.writeHead(status, { ...headers, 'content-length': String(whole.length) })
      response.write(whole.subarray(0, whole.length / 2), () => response.destroy())
    }
  }

  #answer(request: IncomingMessage, method: string, url: URL, text: string): ErrorAnswer {
    return this.#guarded(() => {
      const route = routeOf(url.pathname, this.tokens)
      this.#authorize(route, request.headers.authorization ?? '')
      if (route === undefined) throw new HubspotFailure(404, 'OBJECT_NOT_FOUND', 'No such path')
      const refused = this.#limiter.take(route.limit)
      if (refused !== undefined) return limitAnswer(refused, this.#ids.uuid())
      const { portal, associationPage = 500 } = this.#options
      const reply = route.answer({
        portal,
        method,
        version: route.version,
        query: url.searchParams,
        body: isForm(request) ? Object.fromEntries(new URLSearchParams(text)) : parsed(text),
        bodyLength: text.length,
        settings: { associationPage },
        journal: this.journal,
        host: request.headers.host ?? 'localhost',
      })
      return this.#json(reply, this.#limiter.headers(route.limit))
    })
  }

  #authorize(route: Route | undefined, authorization: string): void {
    if (route?.auth === 'none') return
    const token = authorization.replace(/^Bearer /, '')
    if (route?.auth === 'app' ? this.tokens.takes(token) : token === this.#options.token) return
    const message = 'Authentication credentials not found. This API supports OAuth 2.0 authentication.'
    throw new HubspotFailure(401, 'INVALID_AUTHENTICATION', message)
  }

  #json(
    reply: { readonly status: number; readonly body: unknown },
    headers: Readonly<Record<string, string>> = {},
  ): ErrorAnswer {
    const text = reply.body === undefined ? '' : JSON.stringify(reply.body)
    return { status: reply.status, headers: { ...JSON_HEADERS, ...headers }, text }
  }

  #guarded(answer: () => ErrorAnswer): ErrorAnswer {
    try {
      return answer()
    } catch (error) {
      if (error instanceof HubspotFailure) {
        return this.#json({ status: error.status, body: failureBody(error, this.#ids.uuid()) })
      }
      this.errors.push(error instanceof Error ? error : new Error(String(error)))
      return statusAnswer({ kind: 'status', status: 500 }, this.#ids.uuid())
    }
  }

  #send(response: ServerResponse, { status, headers, text }: ErrorAnswer): void {
    if (response.req.url?.startsWith('/__sim') !== true) this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1
    response.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(text)) }).end(text)
  }
}
