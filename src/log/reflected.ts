/**
 * How far a stage vouches, and when that is worth writing down.
 *
 * Invariants: never ahead of the truth: a transaction counts only when its last entry was handled, only what was
 * applied is `settled`, and a batch whose paths were followed in a newer snapshot is withheld until the stage has passed
 * that snapshot (a child changes, then its parent moves: the batch of the first finds only the new grandparent, and the
 * old one is true again with the second). At rest: a stage's position row is captured like any other row, so a row that is only about
 * Rescore itself never makes a stage write its own; otherwise each write would cause the next for ever.
 */
import { parseLsn } from '../db/lsn.ts'
import { BARRIER_PREFIX, type Batch, type Change, type Entry, WHOLE } from './log.ts'
import { END_OF_TRANSACTION, type Position, START } from './position.ts'
import type { Reflected, StoredPosition } from './stage-position.ts'

/** Applied, but not to be said before the stage has handled everything up to `untilLsn`. */
interface Withheld {
  readonly reflected: Reflected
  readonly untilLsn: bigint
}

/** What a batch lets the stage say once it is applied. */
export interface Outlook {
  readonly reflected: Reflected | null
  /** The oldest and the newest: the oldest is said in time under steady load, the newest says all when it ends. */
  readonly withheld: readonly Withheld[]
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
      entry.kind === 'change' &&
      entry.table === 'rescore.stage_position' &&
      entry.after?.stage === upstream &&
      (entry.after.topic ?? WHOLE.topic) === WHOLE.topic,
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
  #settled: Outlook = { reflected: null, withheld: [], awaitedLsn: 0n }
  #writtenLsn = 0n

  constructor(upstream: string | null) {
    this.#upstream = upstream
  }

  /**
   * After a start: everything up to a stored position at the end of a transaction was applied in an earlier life. What
   * that life did not say may have been withheld, and is again until the stage has passed `nowLsn`.
   */
  restore({ position, reflectedLsn }: StoredPosition, nowLsn: bigint): void {
    this.#writtenLsn = reflectedLsn
    const isWhole = position.index === END_OF_TRANSACTION && position.lsn > START.lsn
    if (this.#upstream !== null || !isWhole) return
    const reflected = { lsn: position.lsn, atMs: 0 }
    this.#settled =
      position.lsn <= reflectedLsn
        ? { reflected, withheld: [], awaitedLsn: 0n }
        : { reflected: null, withheld: [{ reflected, untilLsn: nowLsn }], awaitedLsn: 0n }
  }

  /**
   * What may be said once the batch is applied.
   * @param beyondLsn everything its snapshot may have held, where applying followed paths in it; else 0n
   */
  after(batch: Batch, beyondLsn = 0n): Outlook {
    const found = this.#upstream === null ? wholeIn(batch) : saidBy(this.#upstream, batch)
    const awaited =
      this.#upstream === null ? (batch.entries.findLast(isAwaited)?.position.lsn ?? 0n) : (found?.lsn ?? 0n)
    const before = this.#settled.awaitedLsn
    return { ...this.#sayable(found, beyondLsn), awaitedLsn: awaited > before ? awaited : before }
  }

  #sayable(found: Reflected | null, beyondLsn: bigint): Pick<Outlook, 'reflected' | 'withheld'> {
    const { reflected, withheld } = this.#settled
    if (found === null) return { reflected, withheld }
    const left = withheld.filter(({ untilLsn }) => untilLsn > found.lsn)
    const leftUntil = left.at(-1)?.untilLsn ?? 0n
    const untilLsn = beyondLsn > leftUntil ? beyondLsn : leftUntil
    if (untilLsn <= found.lsn) return { reflected: found, withheld: [] }
    const passed = withheld.findLast((one) => one.untilLsn <= found.lsn)
    return {
      reflected: passed?.reflected ?? reflected,
      withheld: [...left.slice(0, 1), { reflected: found, untilLsn }],
    }
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
