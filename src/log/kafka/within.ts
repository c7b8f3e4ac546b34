/** A limit to how long something may take that cannot be told to stop: what it does later is not waited for. */
import { sleep } from '../../db/backoff.ts'

/** @throws what the work throws; `late()` when it is not done in time; the signal's reason when that aborts first */
export async function within<T>(
  ms: number,
  signal: AbortSignal,
  work: () => Promise<T>,
  late: () => Error,
): Promise<T> {
  const over = new AbortController()
  const limit = sleep(ms, AbortSignal.any([signal, over.signal])).then(() => {
    throw late()
  })
  try {
    return await Promise.race([work(), limit])
  } finally {
    over.abort()
    // Rejects with the abort just made.
    await limit.catch(() => undefined)
  }
}
