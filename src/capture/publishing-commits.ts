/**
 * Commits in the order of the stream, each with the last round that holds a record of it.
 * Invariant: a commit is finished when its round and all before it are done; one without records as soon as those before
 * it are. Outlives connections: what was published for the last one counts for the next.
 */
import { Fifo } from '../log/embedded/fifo.ts'
import type { Publisher } from '../log/kafka/publish.ts'

interface PendingCommit {
  readonly endLsn: bigint
  readonly round: number
}

export class PendingCommits {
  readonly #pending = new Fifo<PendingCommit>()
  #finished = 0n

  /** @param round the last round with a record of this transaction or one before it */
  add(endLsn: bigint, round: number): void {
    this.#pending.push({ endLsn, round })
  }

  get isEmpty(): boolean {
    return this.#pending.length === 0
  }

  /** End of the last commit of which everything up to round `done` is acknowledged; 0n before the first. */
  finished(done: number): bigint {
    let count = 0
    for (let next = this.#pending.at(count); next !== undefined && next.round <= done; next = this.#pending.at(count)) {
      this.#finished = next.endLsn
      count += 1
    }
    this.#pending.drop(count)
    return this.#finished
  }
}

/** What outlives a connection: the publisher, its commits, and the position of the last thing it took. */
export class Published {
  readonly publisher: Publisher
  readonly commits = new PendingCommits()
  #lsn = 0n
  #index = 0

  constructor(publisher: Publisher) {
    this.publisher = publisher
  }

  /** Moves on to this position; false when it was taken before. Two fields, because it is asked for every row. */
  takes(lsn: bigint, index: number): boolean {
    if (lsn < this.#lsn || (lsn === this.#lsn && index <= this.#index)) return false
    this.#lsn = lsn
    this.#index = index
    return true
  }
}
