/**
 * A round: everything that is sent together, one record batch per partition, and again until each is acknowledged.
 *
 * Invariants: rounds are numbered in the order of the stream and sent one after the other, so a record is acknowledged
 * exactly when its round is done, and no record overtakes another of its partition at a retry; what a broker finds too
 * large as a whole is sent in halves, in order.
 */
import { type BatchRecord, RecordBatch } from './publish-batch.ts'

export interface PartitionRef {
  readonly topic: string
  readonly partition: number
}

/** Batches whose memory is used again; more are left to the collector. */
const MAX_FREE = 24

export class BatchPool {
  readonly #free: RecordBatch[] = []

  take(): RecordBatch {
    return this.#free.pop() ?? new RecordBatch()
  }

  give(batch: RecordBatch): void {
    if (this.#free.length >= MAX_FREE) return
    batch.clear()
    this.#free.push(batch)
  }
}

export class Round {
  readonly number: number
  /** By place of the partition; what is still to be acknowledged, first first. */
  readonly pending = new Map<number, RecordBatch[]>()
  bytes = 0
  records = 0
  readonly #pool: BatchPool

  constructor(number: number, pool: BatchPool) {
    this.number = number
    this.#pool = pool
  }

  /** The one batch of a partition that is still being filled. */
  batch(place: number): RecordBatch {
    const found = this.pending.get(place)?.[0]
    if (found !== undefined) return found
    const made = this.#pool.take()
    this.pending.set(place, [made])
    return made
  }

  heads(): readonly (readonly [number, RecordBatch])[] {
    return [...this.pending].flatMap(([place, [head]]) => (head === undefined ? [] : [[place, head] as const]))
  }

  acknowledged(place: number): void {
    const batches = this.pending.get(place)
    const head = batches?.shift()
    if (head !== undefined) this.#pool.give(head)
    if (batches?.length === 0) this.pending.delete(place)
  }

  /** Puts the halves of the first batch of a partition in its place. */
  split(place: number): void {
    const batches = this.pending.get(place)
    const head = batches?.shift()
    if (head !== undefined) batches?.unshift(...head.split())
  }

  /** Puts one record in the place of the first batch of a partition. */
  replace(place: number, record: BatchRecord): void {
    const batches = this.pending.get(place)
    const head = batches?.shift()
    if (head !== undefined) this.#pool.give(head)
    batches?.unshift(RecordBatch.of([record]))
  }

  get isDone(): boolean {
    return this.pending.size === 0
  }
}
