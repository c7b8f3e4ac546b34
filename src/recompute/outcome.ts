/**
 * What recomputing one entity came to, and what of it has to be written.
 * Invariant: an entity is gone, failed or computed, never two of them; a computed one whose row would not differ is not
 * written.
 */
import type { Client } from '../db/pool.ts'
import type { Dirty } from './affected.ts'
import type { Computed, Failure } from './compute.ts'
import type { LoadedRow } from './load.ts'

/** The transaction it is written in. */
export interface WriteContext {
  readonly client: Client
  /** Read before the snapshot: the version of everything written. */
  readonly snapshotLsn: bigint
  readonly epoch: number
}

export interface Outcome {
  readonly row: LoadedRow
  /** null: not because of a change (a sweep). */
  readonly dirty: Dirty | null
  /** null: the entity's own row is gone. */
  readonly computed: Computed | null
}

export function failureOf(outcome: Outcome): Failure | null {
  return outcome.computed?.failure ?? null
}

/** A stored row without its entity. */
export function isOrphan({ row }: Outcome): boolean {
  return !row.exists && row.epoch !== null
}

/** Written when a value moved, when there was no row, or to say that an old row is true of the new definitions. */
export function mustWrite({ row, computed }: Outcome, epoch: number): boolean {
  if (computed === null || computed.failure !== null) return false
  return row.epoch === null || row.epoch < epoch || computed.moves.length > 0
}

/** Put aside earlier, and now either computed or gone. */
export function isHealed(outcome: Outcome): boolean {
  return outcome.row.aside !== null && failureOf(outcome) === null
}
