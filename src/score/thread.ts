/**
 * The owner's side of the inference thread: starts it, asks one thing at a time, notices its end.
 *
 * Invariants: one request is outstanding and the number of waiting ones is bounded; whatever way the thread ends, the
 * request it held is rejected with fate `retry` and the next one starts a new thread; after `close` nothing is started.
 */
import { Worker } from 'node:worker_threads'
import { asError, RescoreError } from '../errors.ts'
import type { Answer, Artifact, Request, Signature, ThreadData } from './messages.ts'

/** Requests that may wait while one is answered; more means that callers do not wait for their answers. */
const MAX_WAITING = 64
/** For one request of at most a batch, or for loading all artifacts. */
const TIMEOUT_MS = 60_000

/** tsc does not rewrite URLs: beside the TypeScript is worker.ts, beside the compiled program worker.js. */
const THREAD_FILE = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url)

export interface InferenceThreadOptions {
  readonly artifacts: readonly Artifact[]
  readonly timeoutMs?: number
  /** How the thread is made; tests keep hold of it to end it. */
  readonly spawn?: (data: ThreadData) => Worker
}

/** The artifact at this place cannot be loaded. */
export class ArtifactRefused extends Error {
  readonly model: number
  constructor(model: number, reason: string) {
    super(reason)
    this.name = 'ArtifactRefused'
    this.model = model
  }
}

interface Running {
  readonly worker: Worker
  readonly signatures: readonly Signature[]
}

function spawnThread(data: ThreadData): Worker {
  // Without the environment: a thread that runs other people's artifacts has no use for credentials.
  return new Worker(THREAD_FILE, { workerData: data, env: {}, name: 'rescore-inference' })
}

function retry(code: `MODEL_${string}`, message: string, mend: string, cause?: unknown): RescoreError {
  return new RescoreError({ code, fate: 'retry', message, mend, cause })
}

export class InferenceThread implements AsyncDisposable {
  readonly #options: InferenceThreadOptions
  #running: Running | null = null
  /** Resolves when the request before is answered. */
  #turn: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #nextId = 0
  readonly #closing = new AbortController()

  constructor(options: InferenceThreadOptions) {
    this.#options = options
  }

  /** Loads every artifact, unless that has been done. @throws ArtifactRefused */
  start(): Promise<readonly Signature[]> {
    return this.#inTurn(async () => (await this.#ensureRunning()).signatures)
  }

  /**
   * @param matrix rows × inputs, row-major; taken over, not copied
   * @returns rows × width, row-major
   * @throws RescoreError MODEL_WORKER_DIED, MODEL_TIMED_OUT, MODEL_BUSY (retry), MODEL_RUN_FAILED, MODEL_CLOSED (stop)
   */
  run(
    model: number,
    matrix: Float32Array<ArrayBuffer>,
    rows: number,
  ): Promise<{ output: Float32Array; width: number }> {
    return this.#inTurn(async () => {
      const { worker } = await this.#ensureRunning()
      this.#nextId += 1
      const request: Request = { id: this.#nextId, model, matrix, rows }
      const answer = await this.#answer(worker, () => worker.postMessage(request, [matrix.buffer]))
      if (answer.kind === 'output') return answer
      throw new RescoreError({
        code: 'MODEL_RUN_FAILED',
        fate: 'stop',
        message: `The artifact failed on ${rows} rows: ${'reason' in answer ? answer.reason : answer.kind}`,
        mend: 'The artifact loads but cannot compute: export it again and check its parity file.',
      })
    })
  }

  /** Ends the thread; what it was doing is rejected. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#turn
    await this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= MAX_WAITING) {
      throw retry('MODEL_BUSY', `${this.#waiting} requests wait for inference already.`, 'Await each before the next.')
    }
    this.#waiting += 1
    const mine = this.#turn.then(() => {
      if (this.#closing.signal.aborted) throw closed()
      return work()
    })
    // Whether this request fails is its caller's business; the next one's turn comes either way.
    this.#turn = mine.catch(() => undefined)
    try {
      return await mine
    } finally {
      this.#waiting -= 1
    }
  }

  async #ensureRunning(): Promise<Running> {
    if (this.#running !== null) return this.#running
    const { artifacts, spawn = spawnThread } = this.#options
    const worker = spawn({ artifacts })
    // Listened to for its whole life: an error event nobody hears would end the process.
    worker.on('error', () => this.#forget(worker))
    worker.on('exit', () => this.#forget(worker))
    this.#running = { worker, signatures: [] }
    const answer = await this.#answer(worker, () => undefined)
    if (answer.kind === 'ready') {
      this.#running = { worker, signatures: answer.signatures }
      return this.#running
    }
    await this.#stop()
    if (answer.kind === 'refused') throw new ArtifactRefused(answer.model, answer.reason)
    throw retry('MODEL_WORKER_DIED', `The inference thread said '${answer.kind}' at its start.`, 'It is started again.')
  }

  #forget(worker: Worker): void {
    if (this.#running?.worker === worker) this.#running = null
  }

  async #stop(): Promise<void> {
    const worker = this.#running?.worker
    this.#running = null
    await worker?.terminate()
  }

  /** The next answer, or the reason why there will be none. */
  async #answer(worker: Worker, ask: () => void): Promise<Answer> {
    const { timeoutMs = TIMEOUT_MS } = this.#options
    // A signal that has aborted tells no new listener.
    if (this.#closing.signal.aborted) throw closed()
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const died = (reason: string, cause?: unknown) =>
      reject(retry('MODEL_WORKER_DIED', `The inference thread ended: ${reason}.`, 'It is started again.', cause))
    const onError = (error: unknown) => died(asError(error).message, error)
    const onExit = (code: number) => died(`exit code ${code}`)
    const onClose = () => reject(closed())
    const timer = setTimeout(() => {
      const mend = 'It is started again; when it repeats, the model is too slow for this machine.'
      reject(retry('MODEL_TIMED_OUT', `Inference gave no answer within ${timeoutMs} ms.`, mend))
    }, timeoutMs)
    worker.once('message', resolve).once('messageerror', onError).once('error', onError).once('exit', onExit)
    this.#closing.signal.addEventListener('abort', onClose, { once: true })
    try {
      ask()
      return await promise
    } catch (error) {
      await this.#stop()
      throw error
    } finally {
      clearTimeout(timer)
      worker.off('message', resolve).off('messageerror', onError).off('error', onError).off('exit', onExit)
      this.#closing.signal.removeEventListener('abort', onClose)
    }
  }
}

function closed(): RescoreError {
  return new RescoreError({
    code: 'MODEL_CLOSED',
    fate: 'stop',
    message: 'The models were closed while something was to be scored.',
    mend: 'Close them after the stages have ended.',
  })
}
