/**
 * History against what is stored: folding every change of an entity must end in its stored row.
 *
 * Invariant: each change must start from the state before it. A final state that is not the stored one is reported only
 * where it is not the value from scratch either: a stored value that is wrong is named once, by check-features.
 */
import type { FeatureValue } from '../../define/index.ts'
import { storedValue } from './compute.ts'
import type { Difference } from './difference.ts'
import { difference, type Subject } from './subject.ts'
import type { Row } from './values.ts'

type Side = 'from' | 'to'
type Change = Readonly<Partial<Record<Side, FeatureValue>>>

/** The values that a base has kept, each in the step that said it last. */
function baseChanges(row: Row): readonly (readonly [string, Change])[] {
  const steps: readonly { readonly values: Readonly<Record<string, FeatureValue>> }[] = Array.isArray(row.steps)
    ? row.steps
    : []
  return steps.flatMap(({ values }) => Object.entries(values).map(([feature, to]) => [feature, { to }] as const))
}

function changesOf(row: Row): readonly (readonly [string, Change])[] {
  if (row.op === 'base') return baseChanges(row)
  return typeof row.changed === 'object' && row.changed !== null ? Object.entries(row.changed) : []
}

/** Folds the feature history of one entity, one row at a time, oldest first. */
export class FeatureFold {
  /** Null while the entity has no row. */
  state: ReadonlyMap<string, FeatureValue> | null = null
  rows = 0
  /** The first step that does not follow from the one before. */
  broken: string | null = null
  #epoch = 0

  add(row: Row): void {
    this.rows += 1
    const problem = this.#problem(row)
    this.broken ??= problem
    this.#epoch = Number(row.epoch)
    if (row.op === 'delete') {
      this.state = null
      return
    }
    const next = new Map(this.state)
    for (const [feature, { to = null }] of changesOf(row)) next.set(feature, to)
    this.state = next
  }

  #problem(row: Row): string | null {
    if ((row.op === 'insert' || row.op === 'base') !== (this.state === null)) {
      return `History row ${row.id} is an ${row.op} of a row that ${this.state === null ? 'is not there' : 'is there'}.`
    }
    for (const [feature, { from = null }] of changesOf(row)) {
      const before = this.state?.get(feature) ?? null
      // A feature of another type has a new column, so under new definitions it may start from nothing.
      const isAnew = from === null && Number(row.epoch) > this.#epoch
      if (from !== before && !isAnew)
        return `History row ${row.id} changes ${feature} from ${from}; the state before it has ${before}.`
    }
    return null
  }
}

function broken(subject: Subject, message: string, stored: unknown, expected: unknown): readonly Difference[] {
  return [difference(subject, 'history', { what: null, stored, expected, message })]
}

export function checkFeatureHistory(subject: Subject, fold: FeatureFold): readonly Difference[] {
  const { node, outcome, features } = subject
  if (fold.broken !== null) return broken(subject, fold.broken, null, null)
  const fresh = outcome?.kind === 'computed' ? outcome.fresh : null
  const isThere = fold.state !== null
  const shouldBe = outcome?.kind === 'failed' ? features !== null : outcome !== null
  if (isThere !== (features !== null) && isThere !== shouldBe) {
    const message = `After ${fold.rows} history rows the entity ${isThere ? 'has' : 'does not have'} a feature row; stored is the opposite.`
    return broken(subject, message, fold.rows, null)
  }
  if (fold.state === null || features === null) return []
  for (const { feature } of node.features) {
    const last = fold.state.get(feature.name) ?? null
    const stored = storedValue(feature.type, features[feature.name])
    if (last === stored || (fresh !== null && last === fresh.get(feature.name))) continue
    return broken(subject, `History ends with ${feature.name} = ${last}; stored is ${stored}.`, last, stored)
  }
  return []
}
