/**
 * The tests' handle on a service in a child process.
 * Invariant: disposing kills the process whatever state it is in, stopped included, and waits until it is gone.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Counted, FromService, ServiceOrder, SharedOrder, ToService } from './orders.ts'
import { type Place, slotOf } from './running.ts'

const PROGRAM = fileURLToPath(new URL('./service-main.ts', import.meta.url))
const NODE_24 = fileURLToPath(new URL('../../node_modules/.bin/node', import.meta.url))
const stripsTypes = Number(process.versions.node.split('.')[0]) >= 24

export interface Ended {
  readonly signal: NodeJS.Signals | null
  /** Code and message of the error it ended with by itself. */
  readonly error: { readonly code: string; readonly message: string } | null
}

export class ServiceChild implements AsyncDisposable {
  readonly #process: ChildProcess
  readonly #held = new Map<string, PromiseWithResolvers<void>>()
  readonly #running = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<Ended>()
  #counted = Promise.withResolvers<Counted>()
  /** Failures it reported and repeated, as `code: message`. */
  readonly failures: string[] = []

  constructor(order: ServiceOrder, environment: Readonly<Record<string, string>>) {
    this.#process = fork(PROGRAM, [JSON.stringify(order)], {
      execPath: stripsTypes ? process.execPath : NODE_24,
      // The test runner's own flags are not the service's; kafkajs sets timers to times that are over.
      execArgv: ['--disable-warning=TimeoutNegativeWarning'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_OPTIONS: '', ...environment },
    })
    // A test that timed out never disposes, and a stopped process does not notice that the test is gone.
    const kill = () => this.signal('SIGKILL')
    process.once('exit', kill)
    let error: Ended['error'] = null
    this.#process.on('message', (message: FromService) => {
      if (message.type === 'running') this.#running.resolve()
      else if (message.type === 'held') this.#held.get(message.point)?.resolve()
      else if (message.type === 'failed') this.failures.push(`${message.code}: ${message.message}`)
      else if (message.type === 'counted') this.#counted.resolve(message)
      else error = message
    })
    this.#process.once('error', this.#ended.reject)
    this.#process.once('close', (_, signal) => {
      process.removeListener('exit', kill)
      this.#ended.resolve({ signal, error })
    })
  }

  /** In the parent's terms of a process: killed, failed, or told to end. */
  get ended(): Promise<Ended> {
    return this.#ended.promise
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Resolves once capture and stages run. @throws when it ended before */
  async running(): Promise<void> {
    await this.#unlessEnded(this.#running.promise)
  }

  killAt(point: string, passing: number): void {
    this.#tell({ type: 'kill-at', point, passing })
  }

  /** From now on the service stands still at the point; resolves when it does. */
  async holdAt(point: string): Promise<void> {
    const held = Promise.withResolvers<void>()
    this.#held.set(point, held)
    this.#tell({ type: 'hold-at', point })
    await this.#unlessEnded(held.promise)
  }

  letGo(point: string): void {
    this.#tell({ type: 'let-go', point })
  }

  async counted(): Promise<Counted> {
    this.#counted = Promise.withResolvers()
    this.#tell({ type: 'count' })
    return this.#unlessEnded(this.#counted.promise)
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' | 'SIGKILL'): void {
    this.#process.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGKILL')
    await this.#ended.promise
  }

  #tell(message: ToService): void {
    if (this.#process.connected) this.#process.send(message)
  }

  async #unlessEnded<T>(promise: Promise<T>): Promise<T> {
    const early = this.#ended.promise.then(({ signal, error }) => {
      throw new Error(`The service ended: ${error === null ? signal : `${error.code} ${error.message}`}.`)
    })
    return await Promise.race([promise, early])
  }
}

interface ChildSetting {
  readonly project?: ServiceOrder['project']
  /** Further variables. */
  readonly environment?: Readonly<Record<string, string>>
}

/** @param faults as RESCORE_TEST_FAULTS takes them */
export function startChild(
  place: Place,
  faults = '',
  { project = 'test', environment = {} }: ChildSetting = {},
): ServiceChild {
  const order: ServiceOrder = { url: place.url, slot: slotOf(place), project }
  return new ServiceChild(order, { ...environment, RESCORE_TEST_FAULTS: faults })
}

/** One process of a service shared over Kafka. @param kafka its KAFKA_* variables */
export function startSharedChild(
  place: Place,
  kafka: Readonly<Record<string, string>>,
  shared: SharedOrder,
  faults = '',
  project: ServiceOrder['project'] = 'test',
): ServiceChild {
  const order: ServiceOrder = { url: place.url, slot: shared.slot ?? slotOf(place), project, shared }
  return new ServiceChild(order, { ...kafka, RESCORE_TEST_FAULTS: faults })
}

/** The repository's own project, its connector reading this portal. */
export function startConnectedChild(
  place: Place,
  portal: { readonly url: string; readonly token: string },
  faults = '',
): ServiceChild {
  const order: ServiceOrder = { url: place.url, slot: slotOf(place), project: 'repository' }
  return new ServiceChild(order, {
    RESCORE_TEST_FAULTS: faults,
    HUBSPOT_BASE_URL: portal.url,
    HUBSPOT_ACCESS_TOKEN: portal.token,
    HUBSPOT_POLL_MS: '100',
    HUBSPOT_CALLS_PER_10S: '100000',
    HUBSPOT_SEARCHES_PER_SECOND: '10000',
  })
}
