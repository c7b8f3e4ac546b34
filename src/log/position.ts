/**
 * Where a change stands in the history of the database: (commit LSN, index within the transaction).
 * Invariant: total order; change LSNs are not unique (a COPY gives many rows one LSN), this pair is. LSNs are bigint.
 */
export interface Position {
  /** LSN of the commit record. */
  readonly lsn: bigint
  /** 0-based over all row and message entries of the transaction; END_OF_TRANSACTION once it is complete. */
  readonly index: number
}

/** Greater than the index of any change; fits PostgreSQL's integer. */
export const END_OF_TRANSACTION = 2_147_483_647

export const START: Position = { lsn: 0n, index: 0 }

/** Negative when `a` is before `b`, 0 when equal. */
export function comparePositions(a: Position, b: Position): number {
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1
  return a.index - b.index
}
