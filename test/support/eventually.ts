/** Waits for an assertion to hold: the alternative to sleeping for a guess. The error carries the last failure. */
import { sleep } from '../../src/db/backoff.ts'

export async function eventually<T>(
  assertion: () => Promise<T> | T,
  { deadlineMs = 60_000, everyMs = 25 }: { deadlineMs?: number; everyMs?: number } = {},
): Promise<T> {
  const deadline = Date.now() + deadlineMs
  for (;;) {
    try {
      return await assertion()
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`Did not hold within ${deadlineMs} ms.`, { cause: error })
      await sleep(everyMs)
    }
  }
}
