/**
 * Whether this process lives and can do its work, told by its parts.
 *
 * Invariants: a process is ready only once it has started, every part runs or stands by, and nobody has asked it to
 * stop; one failed part makes it unhealthy for good, because the process is ending by then. Kept in memory only: after
 * a crash there is nobody to ask.
 */
import { isRescoreError } from '../errors.ts'

/** `standing by`: another process does it, and this one takes over when that ends. */
export type PartState = 'starting' | 'running' | 'standing by' | 'ended' | 'failed'

export interface PartHealth {
  readonly state: PartState
  /** What it waits for, or what ended it; null when there is nothing to say. */
  readonly why: string | null
}

/** What may be shown to whoever can reach the port: words of ours, and of other errors their code alone. */
function publicWords(error: Error): string {
  if (isRescoreError(error)) return `${error.code}: ${error.message}`
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'UNEXPECTED'
  return `${code}: the log says more`
}

export class Health {
  readonly #parts = new Map<string, PartHealth>()
  #isStarted = false
  #isDraining = false

  set(part: string, state: Exclude<PartState, 'failed'>, why: string | null = null): void {
    // What has failed or ended says nothing more.
    const before = this.#parts.get(part)?.state
    if (before !== 'failed' && before !== 'ended') this.#parts.set(part, { state, why })
  }

  failed(part: string, error: Error): void {
    this.#parts.set(part, { state: 'failed', why: publicWords(error) })
  }

  /** Every part is known from here on. */
  started(): void {
    this.#isStarted = true
  }

  /** All parts have ended, and are started again. */
  again(): void {
    this.#parts.clear()
    this.#isStarted = false
  }

  /** Asked to stop: what is in hand is finished, and nothing new should be sent here. */
  drain(): void {
    this.#isDraining = true
  }

  get parts(): ReadonlyMap<string, PartHealth> {
    return this.#parts
  }

  get unended(): readonly string[] {
    return [...this.#parts].filter(([, { state }]) => state !== 'ended' && state !== 'failed').map(([name]) => name)
  }

  /** Why the process should be started anew; empty when it should not. */
  failures(): readonly string[] {
    return this.#where(({ state }) => state === 'failed')
  }

  /** Why the process is not ready, as far as its parts know; empty when it is. */
  obstacles(): readonly string[] {
    return [
      ...(this.#isDraining ? ['it is stopping'] : []),
      ...(this.#isStarted ? [] : ['it is starting']),
      ...this.#where(({ state }) => state !== 'running' && state !== 'standing by'),
    ]
  }

  #where(isMeant: (part: PartHealth) => boolean): readonly string[] {
    return [...this.#parts]
      .filter(([, part]) => isMeant(part))
      .map(([name, { state, why }]) => `${name}: ${state}${why === null ? '' : `, ${why}`}`)
  }
}
