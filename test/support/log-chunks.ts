/** Hand-made changes and chunks for tests of the log and of stages. */
import type { Change, Chunk } from '../../src/log/log.ts'
import { END_OF_TRANSACTION } from '../../src/log/position.ts'

export function change(lsn: number, index: number, more: Partial<Change> = {}): Change {
  return {
    kind: 'change',
    position: { lsn: BigInt(lsn), index },
    xid: lsn,
    committedAtMs: lsn * 1_000,
    table: 'public.t',
    op: 'insert',
    before: null,
    after: { id: `${lsn}.${index}` },
    changed: null,
    ...more,
  }
}

/** Entries `from`..`until` of the transaction committed at `lsn`; its commit is 10 long. */
export function piece(lsn: number, [from, until]: readonly [number, number], isCommitted: boolean, bytes = 100): Chunk {
  const entries = Array.from({ length: until - from }, (_, place) => change(lsn, from + place))
  return {
    entries,
    end: { lsn: BigInt(lsn), index: isCommitted ? END_OF_TRANSACTION : until - 1 },
    commit: isCommitted ? { lsn: BigInt(lsn), endLsn: BigInt(lsn + 10) } : null,
    committedAtMs: lsn * 1_000,
    bytes: bytes * entries.length,
  }
}
