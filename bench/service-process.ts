/**
 * The bench's handle on the service under test.
 * Invariant: a service that ends by itself fails whatever waits on it, with its own words; disposing never leaves the
 * process behind.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { sleep } from '../src/db/backoff.ts'
import { isRescoreError } from '../src/errors.ts'
import { waitUntilReflected } from '../src/observe/wait.ts'
import type { ServiceFigures, ServiceMessage, ServiceOrder, ServiceRequest } from './children/messages.ts'

const PROGRAM = fileURLToPath(new URL('./children/service.ts', import.meta.url))
/** The flags with which bin/rescore.js and the image start Node. */
const AS_LAUNCHED = ['--max-semi-space-size=16', '--disable-warning=TimeoutNegativeWarning']
const STOP_WITHIN_MS = 20_000
const READY_WITHIN_MS = 120_000
/** A question to a child whose event loop is busy. */
const ANSWER_WITHIN_MS = 60_000

export interface ServiceProcess extends AsyncDisposable {
  /** When the process was made, as performance.now(). */
  readonly forkedMs: number
  /** When its program was loaded and began to start the service, as performance.now(). */
  readonly startedMs: number
  /** Resolves when everything committed until now is in the classifications. */
  reflected(timeoutMs: number): Promise<void>
  figures(): Promise<ServiceFigures>
  /** Stops it as Ctrl-C does, and waits for its end. */
  stop(): Promise<void>
}

export interface StartOptions extends ServiceOrder {
  readonly signal: AbortSignal
  readonly say: (text: string) => void
  /** In its words. Default: service. */
  readonly name?: string
}

class Running implements ServiceProcess {
  readonly forkedMs = performance.now()
  startedMs = 0
  readonly #child: ChildProcess
  readonly #url: string
  readonly #signal: AbortSignal
  readonly #ended = new AbortController()

  constructor({ signal, say, name = 'service', ...order }: StartOptions) {
    this.#url = order.url
    this.#signal = signal
    // BENCH_NODE_FLAGS: --cpu-prof and the like, for the service alone.
    const given = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== '')
    const flags = [...AS_LAUNCHED, ...given]
    this.#child = fork(PROGRAM, [], {
      stdio: ['ignore', 2, 2, 'ipc'],
      execArgv: flags,
    })
    this.#child.once('exit', (code, by) =>
      this.#ended.abort(new Error(`The service ended with ${by ?? `code ${code}`}.`)),
    )
    this.#child.once('error', (error) => this.#ended.abort(error))
    this.#child.on('message', (message: ServiceMessage) => {
      if (message.type === 'warning') say(`${name}: ${message.message} ${JSON.stringify(message.fields)}`)
      if (message.type === 'failed') this.#ended.abort(new Error(`The service failed: ${message.message}`))
    })
    this.#send({ type: 'start', order })
  }

  async ready(): Promise<void> {
    await this.#message('starting', READY_WITHIN_MS)
    this.startedMs = performance.now()
    await this.#message('ready', READY_WITHIN_MS)
  }

  async reflected(timeoutMs: number): Promise<void> {
    const signal = AbortSignal.any([this.#signal, this.#ended.signal])
    const deadline = performance.now() + timeoutMs
    for (;;) {
      try {
        await waitUntilReflected({
          url: this.#url,
          timeoutMs: Math.max(1, Math.ceil(deadline - performance.now())),
          signal,
        })
        return
      } catch (error) {
        // The stages write their first position a moment after the start.
        if (!isRescoreError(error) || error.code !== 'CLI_NO_STAGES' || performance.now() > deadline) throw error
        await sleep(20, signal)
      }
    }
  }

  async figures(): Promise<ServiceFigures> {
    this.#send({ type: 'figures' })
    const { figures } = await this.#message('figures', ANSWER_WITHIN_MS)
    return figures
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGTERM')
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_WITHIN_MS)
    await ended
    clearTimeout(late)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #send(request: ServiceRequest): void {
    if (this.#child.connected) this.#child.send(request)
  }

  async #message<T extends ServiceMessage['type']>(
    type: T,
    withinMs: number,
  ): Promise<Extract<ServiceMessage, { type: T }>> {
    const signal = AbortSignal.any([this.#signal, this.#ended.signal, AbortSignal.timeout(withinMs)])
    for (;;) {
      signal.throwIfAborted()
      const [message]: ServiceMessage[] = await once(this.#child, 'message', { signal }).catch((error: unknown) => {
        throw signal.aborted ? signal.reason : error
      })
      if (message !== undefined && isOf(message, type)) return message
    }
  }
}

function isOf<T extends ServiceMessage['type']>(
  message: ServiceMessage,
  type: T,
): message is Extract<ServiceMessage, { type: T }> {
  return message.type === type
}

/** Resolves once capture and stages run; sweeping may go on. */
export async function startServiceProcess(options: StartOptions): Promise<ServiceProcess> {
  const service = new Running(options)
  try {
    await service.ready()
    return service
  } catch (error) {
    await service.stop()
    throw error
  }
}
