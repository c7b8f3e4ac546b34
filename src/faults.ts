/**
 * Where tests reach into the running program: named points at which the process dies, and bugs planted so that the
 * checks can be shown to catch them.
 *
 * Invariant: inert unless RESCORE_TEST_FAULTS is set, and `rescore start` refuses to run with it. A planted bug is one
 * `if` at the line it breaks, so that reading the product's code shows exactly what the check must notice.
 *
 * RESCORE_TEST_FAULTS is a comma-separated list: `kill:<point>@<n>` ends the process with SIGKILL at the n-th passing of
 * a point, `bug:<name>` plants a bug. Example: `kill:recompute:before-commit@3,bug:no-version-guard`.
 */

export const BUGS = [
  /** The slot is told the end of WAL received, before the stages have finished. */
  'confirm-too-early',
  /** The position is committed in a transaction of its own before the effects. */
  'position-before-effects',
  /** A worker moves the position of a partition from wherever it stands, not only from where it read on. */
  'position-not-compared',
  /** A derived row is overwritten whatever snapshot the new value comes from. */
  'no-version-guard',
  /** A moved child touches only its new parent. */
  'old-parent-forgotten',
  /** An unchanged TOASTed value is read as NULL. */
  'toast-as-null',
  /** A recomputed value is held against the value before last instead of the stored one. */
  'cut-off-on-wrong-value',
  /** A changed feature row is written without its history. */
  'history-dropped',
  /** A keep-alive moves the slot while changes are in flight. */
  'keep-alive-always',
  /** A batch is applied although one of its transactions is not yet visible in the snapshot. */
  'visibility-not-checked',
  /** Readers of a feature are not recomputed when it changes. */
  'readers-forgotten',
  /** Workers that share a stage recompute a key without holding it. */
  'keys-not-held',
  /** A worker computes what another has computed with the same changes in sight. */
  'computed-again',
  /** A stage vouches for changes before it has applied them; over Kafka, for what its furthest partition has handled. */
  'reflected-early',
  /** Changes that come by while a piece of a table is under way are not laid over it. */
  'copy-changes-forgotten',
  /** A piece of a table is read in a snapshot that does not yet show what was taken from the stream before. */
  'copy-visibility-not-checked',
  /** Rows that went while everything was copied anew stay. */
  'copy-deletes-forgotten',
  /** An erasure does not wait for work that was under way. */
  'erase-in-flight-forgotten',
  /** A piece of a backfill is taken off the list before it is done. */
  'chunk-before-work',
  /** A change that finds the values computed silently already leaves them unscored. */
  'silence-outlives-changes',
  /** How far a Debezium connector has come is held against ends of its topics from before. */
  'ends-of-before',
  /** Of a feature whose timer has fired the next is not written. */
  'timer-forgotten',
  /** A value written down later for a time before is taken for known then. */
  'late-corrections-leak',
  /** A value that is to be held back is stored, and readers see it. */
  'blocked-value-read',
] as const
export type Bug = (typeof BUGS)[number]

export interface Faults {
  /** Passes a named point; may never return. */
  hit(point: string): Promise<void> | void
}

const VARIABLE = 'RESCORE_TEST_FAULTS'

const planted = new Set<string>()
for (const entry of (process.env[VARIABLE] ?? '').split(',')) {
  if (entry.startsWith('bug:')) planted.add(entry.slice('bug:'.length))
}

/** Always false outside tests. */
export function isPlanted(bug: Bug): boolean {
  return planted.size > 0 && planted.has(bug)
}

/** For tests in the same process; disposing takes the bug out again. */
export function plant(bug: Bug): Disposable {
  planted.add(bug)
  return { [Symbol.dispose]: () => void planted.delete(bug) }
}

export function areFaultsRequested(): boolean {
  return (process.env[VARIABLE] ?? '') !== ''
}

/** Points at which this process kills itself, from the environment; undefined when there are none. */
export function faultsFromEnvironment(): Faults | undefined {
  const counts = new Map<string, number>()
  for (const entry of (process.env[VARIABLE] ?? '').split(',')) {
    const match = /^kill:(.+)@(\d+)$/.exec(entry)
    if (match?.[1] !== undefined) counts.set(match[1], Number(match[2]))
  }
  if (counts.size === 0) return undefined
  return {
    hit: (point) => {
      const left = counts.get(point)
      if (left === undefined) return
      counts.set(point, left - 1)
      if (left <= 1) process.kill(process.pid, 'SIGKILL')
    },
  }
}
