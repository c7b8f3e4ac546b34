/**
 * The mark of feature rows that were computed without being scored.
 *
 * Invariant: it holds the number of the backfill whose silent write was the last that moved a value; every other write
 * takes it away, which wakes scoring. A classification that is not older than the row has been made since all the same:
 * by a change that came before the silent write, or because the model changed.
 */
export const SILENCED_BY = 'silenced_by'
