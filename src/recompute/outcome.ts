/**
 * What recomputing one entity came to, and what of it has to be written.
 * Invariant: an entity is gone, failed or computed, never two of them; a computed one whose row would not differ is not
 * written.
 */
import type { Client } from '../db/pool.ts'
import { isPlanted } from '../faults.ts'
import type { Cause } from '../log/stage.ts'
import type { Dirty } from './affected.ts'
import type { Computed, Failure } from './compute.ts'
import type { LoadedRow } from './load.ts'

/** The transaction it is written in. */
export interface WriteContext {
  readonly client: Client
  /** Read before the snapshot: the version of everything written. */
  readonly snapshotLsn: bigint
  readonly epoch: number
  /** Rows below it are owed to sweeps. */
  readonly swept: number
  /** null: for a change, or a sweep. */
  readonly job: Job | null
}

/** A backfill, as what it computes is to be told of. */
export interface Job {
  readonly cause: Cause
  /** Its number where what it writes is not to be scored; null: like everything else. */
  readonly silencedBy: bigint | null
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

/**
 * Written when a value moved, when there was no row, to say that an old row is true of the new definitions, or that what
 * was computed silently is to be scored.
 */
export function mustWrite(outcome: Outcome, context: Pick<WriteContext, 'epoch' | 'swept' | 'job'>): boolean {
  const { row, computed } = outcome
  if (computed === null || computed.failure !== null) return false
  if (row.epoch === null || row.epoch < context.epoch || computed.moves.length > 0) return true
  return row.silencedBy !== markOf(outcome, context) && !isPlanted('silence-outlives-changes')
}

/** What nobody has come to yet: silence would keep from scoring what a change, or a first load, has asked for. */
function isOwedToSweep({ epoch, aside }: LoadedRow, swept: number): boolean {
  return !((epoch !== null && epoch >= swept) || (aside !== null && aside.epoch >= swept))
}

/** What the row is marked with when it is written. */
export function markOf({ row, computed }: Outcome, { swept, job }: Pick<WriteContext, 'swept' | 'job'>): bigint | null {
  const silencedBy = job?.silencedBy ?? null
  if (silencedBy === null || isOwedToSweep(row, swept)) return null
  // Values that scoring knows are not news.
  return row.epoch !== null && computed?.moves.length === 0 ? row.silencedBy : silencedBy
}

/** Put aside earlier, and now either computed or gone. */
export function isHealed(outcome: Outcome): boolean {
  return outcome.row.aside !== null && failureOf(outcome) === null
}
