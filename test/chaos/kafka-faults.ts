/**
 * How much of the faults is run: a part that fits into the everyday suite, or all that is asked for.
 * RESCORE_FAULTS=all: everything, at full length (npm run test:faults). RESCORE_FAULT_SEED: other moments.
 */
export const WHOLE = process.env.RESCORE_FAULTS === 'all'

const given = process.env.RESCORE_FAULT_SEED
export const SEED = given === undefined ? 1 : given === 'random' ? Math.floor(Math.random() * 1e9) : Number(given)

/** Where a person who looks at the run sees it, whatever the test runner does with a console. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
