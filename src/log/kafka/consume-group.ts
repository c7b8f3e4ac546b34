/**
 * Membership of a consumer group for as long as a process lives: a member that ends is followed by another.
 * Invariant: only what repeating can mend is repeated, with a growing pause; a crash leaves the group to time the member out.
 */
import { Backoff } from '../../db/backoff.ts'
import { isWorthRepeating } from '../../db/pool.ts'
import { asError } from '../../errors.ts'
import { type GroupOptions, Member } from './consume.ts'

/** Runs until the signal aborts; joins again after what is worth it. @throws errors of fate `stop` */
export async function runGroup(options: GroupOptions): Promise<void> {
  const { signal, onError } = options
  const backoff = new Backoff({ baseMs: 100, maxMs: 10_000 })
  while (!signal.aborted) {
    const startedMs = performance.now()
    try {
      await new Member(options).run()
    } catch (error) {
      if (signal.aborted) return
      if (!isWorthRepeating(error)) throw error
      onError(asError(error))
      if (performance.now() - startedMs > 60_000) backoff.reset()
      // Rejects only when the signal aborts, which the loop's condition sees.
      await backoff.wait(signal).catch(() => undefined)
    }
  }
}
