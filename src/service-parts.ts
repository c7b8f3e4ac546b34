/**
 * How a process of many parts ends.
 * Invariant: all parts have ended before anything they use is closed, and nothing ends silently.
 */
import { asError } from './errors.ts'

/** Waits for every part; the first failure aborts the others and is thrown after all have ended. */
export async function finish(
  running: readonly Promise<void>[],
  failure: AbortController,
  outer: AbortSignal,
  cleanUp: () => Promise<void>,
): Promise<void> {
  let first: Error | undefined
  await Promise.all(
    running.map((part) =>
      part.catch((error: unknown) => {
        if (outer.aborted || first !== undefined) return
        first = asError(error)
        failure.abort(first)
      }),
    ),
  )
  await cleanUp()
  if (first !== undefined) throw first
}
