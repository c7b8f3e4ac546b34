/** A named check and what comes of it. */
import type { Bench } from './bench.ts'

export type Result = 'pass' | 'fail' | 'not applicable'

export interface Outcome {
  readonly result: Result
  /** What was seen, in a few words; for a failure what is wrong, for one that does not apply why. */
  readonly seen: string
}

export interface Check {
  readonly name: string
  /** Each call of `open` is a fresh fixture and empty tables. */
  run(open: () => Promise<Bench>): Promise<Outcome>
}

export const pass = (seen: string): Outcome => ({ result: 'pass', seen })
export const fail = (seen: string): Outcome => ({ result: 'fail', seen })
export const notApplicable = (seen: string): Outcome => ({ result: 'not applicable', seen })

/** Passes when the tables hold the truth. */
export async function whole(bench: Bench, seen: string): Promise<Outcome> {
  const wrong = await bench.wrong()
  return wrong === null ? pass(seen) : fail(wrong)
}
