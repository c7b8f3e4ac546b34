/**
 * What was known of an entity at a point in time, out of its history.
 *
 * Invariant: a row counts only when it was valid and recorded by then, so that neither the future nor a correction made
 * later for a time before leaks in. Rows that count are laid over each other in the order they were written: of two that
 * are valid from the same moment the later one stands. Pure; the same rows give the same answer for ever.
 */
import type { FeatureValue } from '../define/index.ts'
import { isPlanted } from '../faults.ts'
import type { Instant } from './instant.ts'

/** A row of rescore.feature_history. */
export interface FeatureStep {
  readonly op: 'insert' | 'update' | 'delete'
  /** Null in a deletion. */
  readonly changed: Readonly<Record<string, { readonly to: FeatureValue }>> | null
  readonly validAt: Instant
  readonly recordedAt: Instant
}

export interface KnownValue {
  readonly value: FeatureValue
  readonly validAt: Instant
  readonly recordedAt: Instant
}

/** From when on a row is known: it has to be true and written down. */
export function knownFrom({ validAt, recordedAt }: Pick<FeatureStep, 'validAt' | 'recordedAt'>): Instant {
  if (isPlanted('late-corrections-leak')) return validAt
  return validAt > recordedAt ? validAt : recordedAt
}

/** What is known at `at` of the entity whose rows are added; one for each entity and time. */
export class Known {
  readonly at: Instant
  readonly #values = new Map<string, KnownValue>()
  /** Whether the entity was there. */
  exists = false
  /** Whether it was there earlier and had been deleted. */
  wasDeleted = false
  /** Whether its first row is not the one it was created by: rows before it were deleted, and values with them. */
  isCut = false
  /** Of the newest row that counts; null: none does. */
  recordedAt: Instant | null = null

  constructor(at: Instant) {
    this.at = at
  }

  /** By feature; what no row told of is not in it. Empty when the entity was not there. */
  get values(): ReadonlyMap<string, KnownValue> {
    return this.#values
  }

  /** @param step rows come in ascending order of id, all of one entity */
  add(step: FeatureStep): void {
    if (knownFrom(step) > this.at) return
    const { op, changed, validAt, recordedAt } = step
    if (this.recordedAt === null && op !== 'insert') this.isCut = true
    if (this.recordedAt === null || recordedAt > this.recordedAt) this.recordedAt = recordedAt
    if (op !== 'update') this.#values.clear()
    this.exists = op !== 'delete'
    this.wasDeleted = op === 'delete'
    if (op === 'delete') return
    for (const [feature, { to }] of Object.entries(changed ?? {})) {
      this.#values.set(feature, { value: to, validAt, recordedAt })
    }
  }
}
