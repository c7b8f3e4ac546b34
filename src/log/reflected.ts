/**
 * How far a stage vouches, and when that is worth writing down.
 *
 * Invariants: never ahead of the truth: a transaction counts only when its last entry was handled, and only what was
 * applied is `settled`. At rest: a stage's position row is captured like any other row, so a row that is only about
 * Rescore itself never makes a stage write its own; otherwise each write would cause the next for ever.
 */
import { parseLsn } from '../db/lsn.ts'
import { BARRIER_PREFIX, type Batch, type Change, type Entry } from './log.ts'
import { END_OF_TRANSACTION, type Position, START } from './position.ts'
import type { Reflected, StoredPosition } from './stage-position.ts'

/** What a batch lets the stage say once it is applied. */
export interface Outlook {
  readonly reflected: Reflected | null
  /** The furthest LSN that someone outside Rescore may be waiting for. */
  readonly awaitedLsn: bigint
}

/** The source changed, or someone asks for a position by a barrier. */
function isAwaited(entry: Entry): boolean {
  return entry.kind === 'barrier' ? entry.prefix === BARRIER_PREFIX : !entry.table.startsWith('rescore.')
}

/** Every transaction that ends in the batch or before it. */
function wholeIn({ entries, end, committedAtMs }: Batch): Reflected | null {
  if (end.index === END_OF_TRANSACTION) return { lsn: end.lsn, atMs: committedAtMs }
  const last = entries.findLast((entry) => entry.position.lsn < end.lsn)
  return last === undefined ? null : { lsn: last.position.lsn, atMs: last.committedAtMs }
}

function saidBy(upstream: string, batch: Batch): Reflected | null {
  const said = batch.entries.findLast(
    (entry): entry is Change =>
      entry.kind === 'change' && entry.table === 'rescore.stage_position' && entry.after?.stage === upstream,
  )
  const lsn = said?.after?.reflected_lsn
  if (typeof lsn !== 'string') return null
  const at = said?.after?.reflected_at
  const atMs = typeof at === 'string' ? Date.parse(at.replace(' ', 'T').replace(/\+00$/, 'Z')) : 0
  return { lsn: parseLsn(lsn), atMs: Number.isNaN(atMs) ? 0 : atMs }
}

export class ReflectedPosition {
  /** The stage whose word this one follows; null: the source itself. */
  readonly #upstream: string | null
  /** What is applied, and will be vouched for once no sweep is pending. */
  #settled: Outlook = { reflected: null, awaitedLsn: 0n }
  #writtenLsn = 0n

  constructor(upstream: string | null) {
    this.#upstream = upstream
  }

  /** After a start: everything up to a stored position at the end of a transaction was applied in an earlier life. */
  restore({ position, reflectedLsn }: StoredPosition): void {
    this.#writtenLsn = reflectedLsn
    const isWhole = position.index === END_OF_TRANSACTION && position.lsn > START.lsn
    if (this.#upstream === null && isWhole) {
      this.#settled = { reflected: { lsn: position.lsn, atMs: 0 }, awaitedLsn: 0n }
    }
  }

  /** What may be said once the batch is applied. */
  after(batch: Batch): Outlook {
    const found = this.#upstream === null ? wholeIn(batch) : saidBy(this.#upstream, batch)
    const reflected = found ?? this.#settled.reflected
    const awaited =
      this.#upstream === null ? (batch.entries.findLast(isAwaited)?.position.lsn ?? 0n) : (found?.lsn ?? 0n)
    const before = this.#settled.awaitedLsn
    return { reflected, awaitedLsn: awaited > before ? awaited : before }
  }

  /** Worth a transaction of its own: someone may be waiting for it, and it is reached. */
  isWorthWriting({ reflected, awaitedLsn }: Outlook): boolean {
    return reflected !== null && awaitedLsn > this.#writtenLsn && reflected.lsn >= awaitedLsn
  }

  /** What is new of an outlook; null when the stored one says as much already. */
  news({ reflected }: Outlook): Reflected | null {
    return reflected !== null && reflected.lsn > this.#writtenLsn ? reflected : null
  }

  settle(outlook: Outlook): void {
    this.#settled = outlook
  }

  written(reflected: Reflected | null): void {
    if (reflected !== null && reflected.lsn > this.#writtenLsn) this.#writtenLsn = reflected.lsn
  }

  get settled(): Outlook {
    return this.#settled
  }
}

/** True when nothing of the batch is after `position`. */
export function isDone(batch: Batch, position: Position): boolean {
  return batch.end.lsn < position.lsn || (batch.end.lsn === position.lsn && batch.end.index <= position.index)
}
