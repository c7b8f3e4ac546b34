/**
 * The proxy the kit puts between connector and fixture: it plays faults, counts calls and looks at open sockets.
 * Invariant: a fault hits exactly the call it is set for, counted from the last `reset`; everything else passes unchanged.
 */
import { createServer, type IncomingMessage, type ServerResponse, request as send } from 'node:http'
import type { Socket } from 'node:net'
import type { KitClock } from './fixture.ts'

export type FaultName =
  | '429 with Retry-After'
  | '429 without Retry-After'
  | 'daily limit'
  | '500'
  | '503 with HTML'
  | '200 with HTML'
  | 'reset'
  | 'slow'
  | 'truncated body'
  | 'cut JSON'

export interface ProxyCall {
  readonly method: string
  /** With the query. */
  readonly path: string
  readonly atMs: number
  readonly body: string
  /** What the source answered; undefined before it has, and where the kit answered instead. */
  status?: number
}

export interface FaultPlan {
  readonly fault: FaultName
  /** Which calls it hits, counted from 0. */
  hits(call: number): boolean
}

const HTML = '<html><body>Bad gateway</body></html>'
const ANSWERS: Readonly<
  Partial<Record<FaultName, { status: number; headers: Readonly<Record<string, string>>; body: string }>>
> = {
  '429 with Retry-After': { status: 429, headers: { 'retry-after': '7' }, body: '{"message":"slow down"}' },
  '429 without Retry-After': { status: 429, headers: {}, body: '{"message":"slow down"}' },
  'daily limit': {
    status: 429,
    headers: { 'retry-after': '21600' },
    body: '{"message":"daily limit reached","policyName":"DAILY"}',
  },
  '500': { status: 500, headers: {}, body: '{"message":"internal error"}' },
  '503 with HTML': { status: 503, headers: { 'content-type': 'text/html' }, body: HTML },
  '200 with HTML': { status: 200, headers: { 'content-type': 'text/html' }, body: HTML },
}

async function readAll(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

interface Upstream {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

function forward(target: URL, request: IncomingMessage, body: Buffer): Promise<Upstream> {
  return new Promise((resolve, reject) => {
    // Asked for unpacked, so that a fault can cut the body where it likes.
    const headers = { ...request.headers, host: target.host, 'accept-encoding': 'identity' }
    const upstream = send(target, { method: request.method, headers, agent: false }, (answer) => {
      readAll(answer).then(
        (whole) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body: whole }),
        reject,
      )
    })
    upstream.once('error', reject)
    upstream.end(body)
  })
}

/** What a client sent of itself. */
export interface Given {
  readonly headers: NodeJS.Dict<string | string[]>
  readonly url?: string | undefined
}

/** What stands between connector and fixture, whatever they speak. */
export interface KitWire extends AsyncDisposable {
  calls: ProxyCall[]
  faultsPlayed: number
  plan: FaultPlan | undefined
  /** Every call waits until it is set back. */
  isHolding: boolean
  /** Instead of the source; `undefined` lets the call through. */
  answer: ((call: ProxyCall, given: Given) => { status: number; body: string } | undefined) | undefined
  /** After an answer was sent. */
  onAnswered: ((call: ProxyCall) => void | Promise<void>) | undefined
  readonly openSockets: number
  /** @returns where the connector finds it */
  listen(): Promise<string>
}

export class KitProxy implements KitWire {
  readonly #target: string
  readonly #clock: KitClock
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((request, response) => {
    this.#handle(request, response).catch(() => request.destroy())
  })
  calls: ProxyCall[] = []
  faultsPlayed = 0
  plan: FaultPlan | undefined
  isHolding = false
  answer: KitWire['answer']
  onAnswered: KitWire['onAnswered']

  constructor(target: string, clock: KitClock) {
    this.#target = target
    this.#clock = clock
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`
  }

  get openSockets(): number {
    return this.#sockets.size
  }

  reset(): void {
    this.calls = []
    this.faultsPlayed = 0
    this.plan = undefined
    this.answer = undefined
    this.onAnswered = undefined
    this.isHolding = false
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await readAll(request)
    const index = this.calls.length
    const call: ProxyCall = {
      method: request.method ?? 'GET',
      path: request.url ?? '/',
      atMs: this.#clock.now(),
      body: body.toString(),
    }
    this.calls.push(call)
    if (this.isHolding) return
    const given = this.answer?.(call, request)
    if (given !== undefined) {
      response.writeHead(given.status, { 'content-type': 'application/json' })
      response.end(given.body)
      return
    }
    const fault = this.plan?.hits(index) === true ? this.plan.fault : undefined
    if (fault !== undefined) this.faultsPlayed += 1
    // The connector's own time-out has to end it.
    if (fault === 'slow') return
    if (fault === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    const fixed = fault === undefined ? undefined : ANSWERS[fault]
    if (fixed !== undefined) {
      response.writeHead(fixed.status, { 'content-type': 'application/json', ...fixed.headers })
      response.end(fixed.body)
      return
    }
    // The source's own word, not a fault of the kit.
    const upstream = await forward(new URL(call.path, this.#target), request, body)
    call.status = upstream.status
    await this.#relay(upstream, response, fault)
    await this.onAnswered?.(call)
  }

  async #relay(upstream: Upstream, response: ServerResponse, fault: FaultName | undefined): Promise<void> {
    const { 'transfer-encoding': _, 'content-length': __, connection: ___, ...headers } = upstream.headers
    const half = upstream.body.subarray(0, Math.floor(upstream.body.length / 2))
    if (fault === 'truncated body') {
      response.writeHead(upstream.status, { ...headers, 'content-length': upstream.body.length || 10 })
      await new Promise<void>((resolve) => response.write(half.length > 0 ? half : '{', () => resolve()))
      response.socket?.destroy()
      return
    }
    const body = fault === 'cut JSON' ? (half.length > 0 ? half : Buffer.from('{')) : upstream.body
    response.writeHead(upstream.status, headers)
    await new Promise<void>((resolve) => response.end(body, () => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }
}
