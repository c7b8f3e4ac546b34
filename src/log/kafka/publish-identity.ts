/**
 * Who publishes, and which record of a partition comes next: what Kafka needs to drop a batch that it has already.
 *
 * Invariants: a partition's next sequence moves only when its batch is acknowledged, and one batch of it is outstanding,
 * so a batch sent again carries the numbers it had: an answer that was lost makes no duplicate. A broker that knows
 * nothing of these numbers (it lost data) gets a new identity, from 0: then, and after a crash of this process, a batch
 * may come twice. Where the user may not have an identity, batches go without.
 */
import { BrokerRefusal } from './publish-refusal.ts'
import type { ProduceWire } from './publish-wire.ts'

/** As it stands in the head of a record batch. */
export interface Stamp {
  readonly producerId: bigint
  readonly epoch: number
  /** Of the batch's first record. */
  readonly sequence: number
}

export const NO_STAMP: Stamp = { producerId: -1n, epoch: -1, sequence: -1 }

const SEQUENCES = 2 ** 31
/** CLUSTER_AUTHORIZATION_FAILED: brokers before 2.8 want a right of its own for an identity. */
const NOT_ALLOWED = 31
/** OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_PRODUCER_EPOCH, UNKNOWN_PRODUCER_ID. */
const UNKNOWN_TO_BROKER = new Set([45, 47, 59])
/** DUPLICATE_SEQUENCE_NUMBER: appended long ago. */
const HAS_IT_ALREADY = 46

export class ProducerIdentity {
  #id: Omit<Stamp, 'sequence'> | null = null
  readonly #next = new Map<number, number>()

  /** Asks for an identity where there is none. `isCurrent`: an answer that comes too late counts for nothing. */
  async ensure(wire: ProduceWire, isCurrent: () => boolean): Promise<void> {
    if (this.#id !== null) return
    const { errorCode, producerId, epoch } = await wire.initProducer()
    if (errorCode !== 0 && errorCode !== NOT_ALLOWED) throw new BrokerRefusal('the identity of the producer', errorCode)
    if (isCurrent()) this.#id = errorCode === 0 ? { producerId, epoch } : NO_STAMP
  }

  /** @param place of the partition among all of the publisher */
  stamp(place: number): Stamp {
    if (this.#id === null || this.#id.producerId < 0n) return NO_STAMP
    return { ...this.#id, sequence: this.#next.get(place) ?? 0 }
  }

  acknowledged(place: number, records: number): void {
    this.#next.set(place, ((this.#next.get(place) ?? 0) + records) % SEQUENCES)
  }

  isAppended(errorCode: number): boolean {
    return errorCode === 0 || errorCode === HAS_IT_ALREADY
  }

  /** Takes a new identity at the next attempt if that is what the refusal asks for. */
  refused(errorCode: number): void {
    if (!UNKNOWN_TO_BROKER.has(errorCode)) return
    this.#id = null
    this.#next.clear()
  }
}
