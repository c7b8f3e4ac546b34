/**
 * How many entities a piece has, so that a change that comes meanwhile waits for it no longer than it would for a
 * neighbour.
 *
 * Invariant: from the least to MAX; it grows by at most half and halves at once, so one slow piece is not followed by another.
 */
const FIRST = 25
/**
 * Below it a piece is what a transaction costs by itself, round trips and the flush of its commit: on a slow disk, or a
 * server that is far away, smaller ones would take as long and get nothing done.
 */
const LEAST = 10
const MAX = 1_000

/** A change that comes in the middle of a piece waits half of it on average. Where none comes, only throughput counts. */
export const PIECE_MS = { alone: 10, busy: 2 }

export class Pace {
  readonly #least: number
  #size: number

  /** @param least entities of a piece, however long it takes: where a transaction by itself costs what many of them do */
  constructor(least = LEAST) {
    this.#least = least
    this.#size = Math.max(least, FIRST)
  }

  get size(): number {
    return this.#size
  }

  /** @param entities in the piece, which may have been fewer than asked for; @param isBusy changes come in */
  note(entities: number, ms: number, isBusy: boolean): void {
    const fitting = (entities * (isBusy ? PIECE_MS.busy : PIECE_MS.alone)) / Math.max(ms, 0.1)
    const most = this.#size * 1.5
    // A small piece that was quick says nothing of a large one.
    if (fitting > this.#size && entities < this.#size) return
    const wanted = fitting < this.#size ? Math.max(fitting, this.#size / 2) : Math.min(fitting, most)
    this.#size = Math.min(MAX, Math.max(this.#least, Math.round(wanted)))
  }
}
