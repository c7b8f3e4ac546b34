/**
 * Calls to one bucket: each with a deadline, again with growing waits while S3 is away, and explained when it stays so.
 * Invariant: a call that has never been answered gives up soon (the address may be wrong), a later one after ten minutes;
 * every wait ends with the signal. The SDK's own repeats are off: these are the only ones.
 */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { Backoff } from '../../db/backoff.ts'
import type { Access, S3Settings } from '../place.ts'
import { CLOCK, explainedS3, failureOf, isPassing, type Whereabouts } from './errors.ts'

/** Enough for a part of 8 MiB at 0.6 Mbit/s. */
const CALL_MS = 120_000
const TIDY_MS = 10_000
const CONNECT_MS = 10_000
export interface Patience {
  readonly firstMs: number
  readonly laterMs: number
}
const PATIENCE: Patience = { firstMs: 8_000, laterMs: 600_000 }
const SAY_AFTER_ATTEMPTS = 3

export interface CallOptions {
  /** Codes of answers that are no failure for this caller. */
  readonly expected?: readonly string[]
  readonly stop?: AbortSignal
}

/** An answer its caller has asked to be told of. */
export class ExpectedAnswer extends Error {
  readonly code: string

  constructor(code: string, cause: unknown) {
    super(`S3 answered ${code}.`, { cause })
    this.name = 'ExpectedAnswer'
    this.code = code
  }
}

export type Send<T> = (client: S3Client, options: { readonly abortSignal: AbortSignal }) => Promise<T>

function configOf({ endpoint, region, pathStyle }: S3Settings): S3ClientConfig {
  return {
    ...(endpoint === null ? {} : { endpoint }),
    // Servers other than AWS mostly have no regions, and take any.
    ...(region === null ? (endpoint === null || process.env.AWS_REGION ? {} : { region: 'us-east-1' }) : { region }),
    forcePathStyle: pathStyle,
    maxAttempts: 1,
    // Checksums are given where they matter; unasked-for ones are refused by some servers.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_MS },
  }
}

export class S3Calls {
  readonly bucket: string
  readonly #client: S3Client
  readonly #where: Whereabouts
  readonly #access: Access
  readonly #patience: Patience
  #hasAnswered = false

  constructor(bucket: string, settings: S3Settings, access: Access, patience = PATIENCE) {
    this.bucket = bucket
    this.#client = new S3Client(configOf(settings))
    this.#where = { bucket, server: settings.endpoint ?? 'AWS S3' }
    this.#access = access
    this.#patience = patience
  }

  async region(): Promise<string> {
    try {
      return await this.#client.config.region()
    } catch (error) {
      throw explainedS3(error, this.#where)
    }
  }

  /**
   * @param stop ends this call earlier than everything else
   * @throws RescoreError DATASET_S3_…; ExpectedAnswer for a code of `expected`
   */
  async call<T>(send: Send<T>, { expected = [], stop }: CallOptions = {}): Promise<T> {
    const signal = stop === undefined ? this.#access.signal : AbortSignal.any([this.#access.signal, stop])
    const backoff = new Backoff({ baseMs: 100, maxMs: 15_000 })
    const startedMs = performance.now()
    for (;;) {
      signal.throwIfAborted()
      try {
        const answer = await this.#once(send, signal)
        this.#hasAnswered = true
        return answer
      } catch (error) {
        signal.throwIfAborted()
        const failure = failureOf(error)
        if (failure.status > 0) this.#hasAnswered = true
        if (expected.includes(failure.name)) throw new ExpectedAnswer(failure.name, error)
        // The SDK has learnt the server's time from this answer.
        const isClock = CLOCK.has(failure.name) && backoff.attempts === 0
        const patienceMs = this.#hasAnswered ? this.#patience.laterMs : this.#patience.firstMs
        const isOver = performance.now() - startedMs > patienceMs
        if (!isClock && (isOver || !isPassing(failure))) throw explainedS3(error, this.#where)
        if (backoff.attempts === SAY_AFTER_ATTEMPTS) {
          this.say(`${this.#where.server} does not answer (${failure.code || failure.name}); trying again`)
        }
        await backoff.wait(signal)
      }
    }
  }

  /** @returns undefined when the answer was one of `codes` */
  async unless<T>(codes: readonly string[], send: Send<T>, stop?: AbortSignal): Promise<T | undefined> {
    try {
      return await this.call(send, { expected: codes, ...(stop && { stop }) })
    } catch (error) {
      if (error instanceof ExpectedAnswer) return undefined
      throw error
    }
  }

  /** One try, also when everything else was stopped. @returns whether it went well */
  async tidy(send: Send<unknown>): Promise<boolean> {
    return await this.#once(send, new AbortController().signal, TIDY_MS).then(
      () => true,
      () => false,
    )
  }

  async #once<T>(send: Send<T>, signal: AbortSignal, withinMs = CALL_MS): Promise<T> {
    const deadline = AbortSignal.timeout(withinMs)
    try {
      return await send(this.#client, { abortSignal: AbortSignal.any([signal, deadline]) })
    } catch (error) {
      if (deadline.aborted && !signal.aborted) throw deadline.reason
      throw error
    }
  }

  say(line: string): void {
    this.#access.say(line)
  }

  close(): void {
    this.#client.destroy()
  }
}
