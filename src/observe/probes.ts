/**
 * `/healthz`, `/readyz` and `/metrics` of this process, on a port of their own.
 *
 * Invariants: answers while the service starts, runs and stops; every answer ends within seconds, whatever PostgreSQL
 * does, and a slow or silent client holds nothing up; read-only, and nothing in it is secret, but who may reach the port
 * is decided by the address it listens on. That it answers at all shows that the event loop turns.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asError, RescoreError } from '../errors.ts'
import { DatabaseWatch } from './database-watch.ts'
import type { Health } from './health.ts'
import type { Metrics } from './metrics.ts'

/** Prometheus's usual port for exporters of this kind. */
export const DEFAULT_PORT = 9464
/** A client that sends or reads its few bytes slower than this is none of ours. */
const CLIENT_MS = 5_000
const MAX_CONNECTIONS = 64

export interface ProbesOptions {
  readonly host: string
  /** 0: any free one; 'default': 9464, or any free one when another process has it. */
  readonly port: number | 'default'
  /** Of the database whose answering is part of being ready. */
  readonly url: string
  readonly health: Health
  readonly metrics: Metrics
  /** Told of what no request should bring about. */
  readonly onError: (error: Error) => void
}

export interface Probes extends AsyncDisposable {
  /** `http://host:port` */
  readonly url: string
  /** It is not the one that was wanted. */
  readonly isOtherPort: boolean
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

function json(isWell: boolean, status: string, why: readonly string[], health: Health): Answer {
  const body = { status, why, parts: Object.fromEntries(health.parts) }
  return { status: isWell ? 200 : 503, type: 'application/json', body: `${JSON.stringify(body)}\n` }
}

function healthz(health: Health): Answer {
  const failures = health.failures()
  return json(failures.length === 0, failures.length === 0 ? 'alive' : 'failed', failures, health)
}

async function readyz(health: Health, database: DatabaseWatch): Promise<Answer> {
  const problem = await database.problem()
  const why = [...health.obstacles(), ...(problem === null ? [] : [problem])]
  return json(why.length === 0, why.length === 0 ? 'ready' : 'not ready', why, health)
}

async function answer(
  { method, url = '' }: IncomingMessage,
  { health, metrics }: ProbesOptions,
  database: DatabaseWatch,
): Promise<Answer> {
  const text = (status: number, body: string): Answer => ({ status, type: 'text/plain', body })
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'Only GET and HEAD.\n')
  const [path] = url.split('?')
  if (path === '/healthz') return healthz(health)
  if (path === '/readyz') return readyz(health, database)
  if (path === '/metrics') {
    return { status: 200, type: metrics.contentType, body: await metrics.text(health, database) }
  }
  return text(404, 'There are /healthz, /readyz and /metrics.\n')
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  const headers = { 'content-type': type, 'cache-control': 'no-store', 'content-length': Buffer.byteLength(body) }
  response.writeHead(status, status === 405 ? { ...headers, allow: 'GET, HEAD' } : headers)
  response.end(response.req.method === 'HEAD' ? undefined : body)
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen({ host, port })
  await once(server, 'listening')
}

const isTaken = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EADDRINUSE'

function refused({ host, port }: ProbesOptions, error: unknown): RescoreError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'UNEXPECTED'
  return new RescoreError({
    code: 'CONFIG_METRICS_PORT',
    fate: 'stop',
    message: `Health and metrics cannot be served at ${host}:${port === 'default' ? DEFAULT_PORT : port} (${code}).`,
    mend: 'Set RESCORE_METRICS_PORT to a port that is free, to 0 for any free one, or to off; RESCORE_METRICS_HOST to an address of this machine.',
    cause: error,
  })
}

async function bind(server: Server, options: ProbesOptions): Promise<void> {
  const { host, port } = options
  try {
    try {
      await listen(server, host, port === 'default' ? DEFAULT_PORT : port)
    } catch (error) {
      if (port !== 'default' || !isTaken(error)) throw error
      await listen(server, host, 0)
    }
  } catch (error) {
    throw refused(options, error)
  }
}

/** @throws RescoreError CONFIG_METRICS_PORT when the address or port cannot be had */
export async function openProbes(options: ProbesOptions): Promise<Probes> {
  const database = new DatabaseWatch(options.url)
  const server = createServer(
    { headersTimeout: CLIENT_MS, requestTimeout: CLIENT_MS, keepAliveTimeout: CLIENT_MS, maxHeaderSize: 8_192 },
    (request, response) => {
      // Nobody asks with a body; what is sent all the same is read away, so that the connection can be used again.
      request.resume()
      answer(request, options, database)
        .catch((error: unknown): Answer => {
          options.onError(asError(error))
          return { status: 500, type: 'text/plain', body: 'The log says more.\n' }
        })
        .then((found) => send(response, found))
        .catch((error: unknown) => response.destroy(asError(error)))
    },
  )
  server.maxConnections = MAX_CONNECTIONS
  server.setTimeout(2 * CLIENT_MS, (socket) => socket.destroy())
  try {
    await bind(server, options)
  } catch (error) {
    await database[Symbol.asyncDispose]()
    throw error
  }
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `http://${host}:${port}`,
    isOtherPort: options.port === 'default' && port !== DEFAULT_PORT,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await Promise.all([closed, database[Symbol.asyncDispose]()])
    },
  }
}
