/**
 * Between the socket and the publisher: how much may be on its way, and the end of it.
 *
 * Invariants: the socket is paused while more bytes than the bound are not yet acknowledged, and read again below half of
 * it; a drain waits for what was taken, never longer than it may, and the socket stays paused from then on.
 */
import { sleep } from '../db/backoff.ts'
import type { Publisher } from '../log/kafka/publish.ts'
import type { Valve } from './replicate.ts'

const HIGH_WATER_BYTES = 16 * 1_048_576
const DRAIN_MS = 5_000

export interface FlowOptions {
  readonly publisher: Publisher
  readonly valve: Valve
  /** Not yet acknowledged by the brokers: above this the socket is paused. Default 16 MiB. */
  readonly highWaterBytes?: number | undefined
  /** How long the brokers have for what was taken, once the end is asked for. Default 5 s. */
  readonly drainMs?: number | undefined
  /** Aborts when nothing is sent any more. */
  readonly over: AbortSignal
}

export class PublishingFlow {
  readonly #options: FlowOptions
  readonly #highWater: number
  readonly #emptied = Promise.withResolvers<void>()
  #isPaused = false
  #isDraining = false

  constructor(options: FlowOptions) {
    this.#options = options
    this.#highWater = options.highWaterBytes ?? HIGH_WATER_BYTES
  }

  /** Sends on what was added, and stops reading while too much is outstanding or the reader itself must wait. */
  push(mustWait: boolean): void {
    const { publisher, valve } = this.#options
    publisher.flush()
    if (publisher.bytes <= this.#highWater && !mustWait) return
    this.#isPaused = true
    valve.pause()
  }

  /** Something was acknowledged, or the reader need not wait any more. */
  progressed(mustWait: boolean): void {
    const { publisher, valve } = this.#options
    if (this.#isDraining) {
      if (publisher.bytes === 0) this.#emptied.resolve()
      return
    }
    if (!this.#isPaused || mustWait || publisher.bytes > this.#highWater / 2) return
    this.#isPaused = false
    valve.resume()
  }

  async drain(): Promise<void> {
    const { drainMs = DRAIN_MS, over } = this.#options
    this.#isDraining = true
    this.push(true)
    this.progressed(true)
    const emptied = new AbortController()
    const limit = sleep(drainMs, AbortSignal.any([over, emptied.signal]))
    // Rejects when it is over, one way or the other.
    await Promise.race([this.#emptied.promise, limit]).catch(() => undefined)
    emptied.abort()
    await limit.catch(() => undefined)
  }
}
