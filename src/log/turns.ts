/**
 * Which of a stage's lanes has the next turn.
 *
 * Invariants: the first that is due goes first; where one of them is always due, those behind it get a turn every so
 * often. While stale rows are caught up on, only lanes that are urgent have turns.
 */
import type { InTransaction, Lane } from './lane.ts'

/** Turns of lanes in front, in a row, while one behind them is due. */
const IN_A_ROW = 8
/** Batches between two turns under steady load. */
const BATCHES_PER_TURN = 8
/** So long after changes more are expected. */
const BUSY_FOR_MS = 250

interface TurnOptions {
  readonly isSweeping?: boolean
  /** Changes come in. Default: they have a moment ago. */
  readonly isBusy?: boolean
}

export class Turns {
  readonly #lanes: readonly Lane[]
  #inARow = 0
  #batches = 0
  #lastWorkMs = Number.NEGATIVE_INFINITY

  /** @param lanes the most urgent first */
  constructor(lanes: readonly Lane[]) {
    this.#lanes = lanes
  }

  /** Milliseconds until one of them wants a turn; 0: now; infinite where there is none. */
  dueInMs(isSweeping = false): number {
    return Math.min(...this.#among(isSweeping).map((lane) => lane.dueInMs()))
  }

  /** @param isWork the changes mean something to the stage: those that a lane makes itself do not */
  noteBatch(isWork: boolean): void {
    this.#batches += 1
    if (isWork) this.#lastWorkMs = performance.now()
  }

  /** Changes always wait, and a lane has waited for its turn long enough. */
  isOwed(): boolean {
    return this.#batches >= BATCHES_PER_TURN && this.dueInMs() === 0
  }

  /** At most one piece of work. @throws errors worth repeating */
  async step(
    inTransaction: InTransaction,
    { isSweeping = false, isBusy = performance.now() - this.#lastWorkMs < BUSY_FOR_MS }: TurnOptions = {},
  ): Promise<void> {
    this.#batches = 0
    const due = this.#among(isSweeping).filter((lane) => lane.dueInMs() === 0)
    const isLastDue = this.#inARow >= IN_A_ROW
    const next = isLastDue ? due.at(-1) : due[0]
    this.#inARow = due.length > 1 && !isLastDue ? this.#inARow + 1 : 0
    await next?.step(inTransaction, isBusy)
  }

  /** `listener` is called whenever a lane wants its turn earlier than it had said. */
  onSooner(listener: () => void): void {
    for (const lane of this.#lanes) lane.onSooner?.(listener)
  }

  #among(isSweeping: boolean): readonly Lane[] {
    return isSweeping ? this.#lanes.filter(({ isUrgent }) => isUrgent === true) : this.#lanes
  }
}
