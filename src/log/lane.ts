/**
 * The contract of a lane: work of lower urgency beside the changes of a stage.
 *
 * Invariant: whoever runs the stage gives it turns while no change waits (and a few under steady load, so that it does
 * not starve), one bounded piece at a time, in the transactions the stage itself works in. Its failures end nothing:
 * they are repeated, or kept with the work they belong to.
 */
import type { ApplyContext } from './stage.ts'

export type InTransaction = <T>(work: (context: ApplyContext) => Promise<T>) => Promise<T>

export interface Lane {
  readonly name: string
  /** It has turns while stale rows are caught up on, too. */
  readonly isUrgent?: boolean
  /** Milliseconds until it wants a turn; 0: now. */
  dueInMs(): number
  /** `listener` is called whenever `dueInMs` has become shorter than it would have by waiting. */
  onSooner?(listener: () => void): void
  /**
   * Looks for work and does at most one piece of it.
   * @param isBusy changes come in: one that comes now should not notice the piece
   * @throws errors worth repeating
   */
  step(inTransaction: InTransaction, isBusy: boolean): Promise<void>
}
