/**
 * Steps of a start that need the brokers, repeated while they are away: a broker that is restarted ends no start.
 *
 * Invariants: only what repeating can mend is repeated, with a growing pause, each time said, and never for longer than
 * the patience; a step that is given up may still be under way, so every step must bear to be done twice. A crash leaves
 * what a start leaves that was killed.
 */
import { Backoff, sleep } from '../../db/backoff.ts'
import { isWorthRepeating } from '../../db/pool.ts'
import { RescoreError } from '../../errors.ts'
import { within } from './within.ts'

/** A broker is back within a minute of being restarted; whoever waits longer is told. */
const PATIENCE_MS = 120_000

export interface PersevereOptions {
  readonly signal: AbortSignal
  readonly onError: (error: unknown, retryInMs: number) => void
  /** Default 120,000. */
  readonly withinMs?: number
}

/** @throws what the step throws that repeating cannot mend, or that lasts; LOG_KAFKA_UNREACHABLE when it never answers */
export async function persevere<T>(
  step: () => Promise<T>,
  { signal, onError, withinMs = PATIENCE_MS }: PersevereOptions,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs
  const backoff = new Backoff({ baseMs: 100, maxMs: 5_000 })
  for (;;) {
    try {
      return await within(deadlineMs - performance.now(), signal, step, noAnswer)
    } catch (error) {
      signal.throwIfAborted()
      const delayMs = backoff.nextDelayMs()
      if (!isWorthRepeating(error) || performance.now() + delayMs > deadlineMs) throw error
      onError(error, delayMs)
      await sleep(delayMs, signal)
    }
  }
}

function noAnswer(): RescoreError {
  return new RescoreError({
    code: 'LOG_KAFKA_UNREACHABLE',
    fate: 'retry',
    message: 'Kafka, starting: the brokers cannot be reached (no answer).',
    mend: 'Check KAFKA_BROKERS, and the network between here and the brokers: connections are made and nothing comes back.',
  })
}
