/**
 * What the official client's transport keeps to itself: that the connection broke in the middle of a body, and a way to
 * end a request that nobody waits for any more.
 *
 * The client fetches with node-fetch 2, which waits for ever for a body of announced length whose connection is gone,
 * and `apiRequest` takes no signal. Node tells of every request on its diagnostics channels; ours is known by a header.
 * Invariant: a call that is disposed is forgotten, so nothing gathers here.
 */
import { subscribe } from 'node:diagnostics_channel'
import { ClientRequest, IncomingMessage } from 'node:http'

const CALL_HEADER = 'x-rescore-call'

interface Watcher {
  started(request: ClientRequest): void
  answered(response: IncomingMessage): void
}

const watchers = new Map<string, Watcher>()
let listening = false
let calls = 0

function part(message: unknown, name: string): unknown {
  return typeof message === 'object' && message !== null ? Reflect.get(message, name) : undefined
}

function watcherOf(request: unknown): Watcher | undefined {
  return request instanceof ClientRequest ? watchers.get(String(request.getHeader(CALL_HEADER))) : undefined
}

function listen(): void {
  if (listening) return
  listening = true
  subscribe('http.client.request.start', (message) => {
    const request = part(message, 'request')
    if (request instanceof ClientRequest) watcherOf(request)?.started(request)
  })
  subscribe('http.client.response.finish', (message) => {
    const response = part(message, 'response')
    if (response instanceof IncomingMessage) watcherOf(part(message, 'request'))?.answered(response)
  })
}

export interface WatchedCall extends Disposable {
  /** To be sent with the request. */
  readonly headers: Readonly<Record<string, string>>
  /** Aborts when `signal` does, or when the connection closes before the body is whole. */
  readonly ended: AbortSignal
}

/** @param signal ends the request when it aborts */
export function watchCall(signal: AbortSignal): WatchedCall {
  listen()
  calls += 1
  const id = String(calls)
  const cut = new AbortController()
  const ended = AbortSignal.any([signal, cut.signal])
  watchers.set(id, {
    started: (request) => {
      const onEnd = () => void request.destroy()
      if (ended.aborted) onEnd()
      ended.addEventListener('abort', onEnd, { once: true })
      request.once('close', () => ended.removeEventListener('abort', onEnd))
    },
    answered: (response) =>
      response.once('close', () => {
        if (!response.complete) cut.abort(new Error('the connection closed before the answer was whole'))
      }),
  })
  return { headers: { [CALL_HEADER]: id }, ended, [Symbol.dispose]: () => void watchers.delete(id) }
}
