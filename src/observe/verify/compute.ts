/**
 * Features of one entity from scratch, by plain recursion over their declared inputs.
 *
 * Invariant: nothing stored is believed but one thing: where a feature declares a tolerance and the stored value is
 * within it, readers get the stored value, because that is the value they were computed from; so they do where the value
 * breaks a rule that holds it back (expect.ts).
 */
import type { AnyFeature, AnyInput, Equality, FeatureType, FeatureValue, Hop } from '../../define/index.ts'
import { columnOf, latenessMs } from '../../define/index.ts'
import type { EntityNode } from '../../graph/graph.ts'
import { aggregate } from './aggregate.ts'
import { type Verdict, verdictOf } from './expect.ts'
import { daysSinceOf, periodOf, rowsInTime } from './time.ts'
import { type Row, toValue } from './values.ts'

/** Every declared feature by name, or the first one (in graph order) that has no value and why. */
export type Outcome =
  | {
      readonly kind: 'computed'
      /** As it is to be stored: of a value that is held back, the one before. */
      readonly fresh: FeatureValues
      readonly vouched: FeatureValues
      /** Of features whose value breaks a rule. */
      readonly verdicts: ReadonlyMap<string, Verdict>
    }
  | { readonly kind: 'failed'; readonly feature: string; readonly code: string; readonly verdict: Verdict | null }
export type FeatureValues = ReadonlyMap<string, FeatureValue>

class NoValue extends Error {
  readonly code: string
  readonly verdict: Verdict | null
  constructor(code: string, verdict: Verdict | null = null) {
    super(code)
    this.code = code
    this.verdict = verdict
  }
}

/** What a feature table holds for a feature. */
export function storedValue(type: FeatureType, cell: unknown): FeatureValue {
  if (typeof cell === 'boolean' || typeof cell === 'string') return cell
  if (typeof cell === 'number' || typeof cell === 'bigint') return Number(cell)
  if (cell === null || cell === undefined) return null
  throw new TypeError(`A ${type} feature holds a ${typeof cell}.`)
}

export function isSame(equal: Equality, a: FeatureValue, b: FeatureValue): boolean {
  if (a === b) return true
  if (equal === 'exact' || typeof a !== 'number' || typeof b !== 'number') return false
  const distance = Math.abs(a - b)
  return 'abs' in equal ? distance <= equal.abs : distance <= equal.rel * Math.max(Math.abs(a), Math.abs(b))
}

/** The value as the column of its type would hold it. @throws NoValue when it cannot */
function checked(type: FeatureType, value: unknown): FeatureValue {
  if (value === undefined) throw new NoValue('FEATURE_NO_VALUE')
  if (value === null) return null
  if (type === 'boolean' && typeof value === 'boolean') return value
  // A lone surrogate has no UTF-8 form; it is stored as the replacement character.
  if (type === 'text' && typeof value === 'string' && !value.includes('\0')) return value.toWellFormed()
  if ((type === 'number' || type === 'integer') && typeof value === 'number') {
    if (!Number.isFinite(value)) throw new NoValue('FEATURE_NOT_FINITE')
    if (type === 'integer' && !Number.isSafeInteger(value)) throw new NoValue('FEATURE_NOT_INTEGER')
    return value === 0 ? 0 : value
  }
  throw new NoValue('FEATURE_WRONG_TYPE')
}

function run(feature: AnyFeature, inputs: Readonly<Record<string, unknown>>): unknown {
  try {
    return feature.compute(inputs)
  } catch {
    throw new NoValue('FEATURE_THREW')
  }
}

/** All that is known of one entity. */
export interface Known {
  /** Text form. */
  readonly key: string
  /** The entity's own row. */
  readonly own: Row
  /** Its feature row, if there is one. */
  readonly stored: Row | null
  /** Its rows at the end of a path. */
  reached(path: readonly Hop[]): readonly Row[]
  /** The instant at which a feature's stored value is to be true, whole milliseconds since 1970. */
  instantOf(feature: string): number
  /** What readers of features get; null: what is computed here. */
  readonly given: FeatureValues | null
  /** Rows of rescore.violation, by feature. */
  readonly violations: ReadonlyMap<string, Row>
}

export function computeEntity(node: EntityNode, known: Known): Outcome {
  const { key, own, stored, reached, instantOf, given, violations } = known
  const verdicts = new Map<string, Verdict>()
  const fresh = new Map<string, FeatureValue>()
  const vouched = new Map<string, FeatureValue>()

  const clockOf = (reader: AnyFeature, slackMs: number) =>
    instantOf(reader.name) - latenessMs(node.entity.name, key, slackMs)

  const inputValue = (reader: AnyFeature, input: AnyInput): unknown => {
    if (input.input === 'column') return toValue(columnOf(input.table, input.column).kind, own[input.column])
    if (input.input === 'aggregate') {
      return aggregate(input, rowsInTime(input, reached(input.path), clockOf(reader, input.window?.slackMs ?? 0)))
    }
    if (input.input === 'days-since') return daysSinceOf(input, own, clockOf(reader, input.slackMs))
    if (input.input === 'period') return periodOf(input, clockOf(reader, input.slackMs))
    if (given !== null) return given.get(input.name)
    if (!fresh.has(input.name)) compute(input)
    return vouched.get(input.name)
  }

  const compute = (feature: AnyFeature): void => {
    const inputs = Object.entries(feature.inputs).map(([alias, input]) => [alias, inputValue(feature, input)] as const)
    const value = checked(feature.type, run(feature, Object.fromEntries(inputs)))
    const kept = stored === null ? null : storedValue(feature.type, stored[feature.name])
    const verdict = verdictOf(feature, value, kept, stored !== null, violations.get(feature.name) ?? null)
    if (verdict?.effect === 'aside') throw new NoValue('FEATURE_EXPECTATION', verdict)
    if (verdict !== null) verdicts.set(feature.name, verdict)
    if (verdict?.effect === 'held') {
      fresh.set(feature.name, kept)
      vouched.set(feature.name, kept)
      return
    }
    fresh.set(feature.name, value)
    vouched.set(feature.name, isSame(feature.equal, value, kept) ? kept : value)
  }

  for (const { feature } of node.features) {
    try {
      if (!fresh.has(feature.name)) compute(feature)
    } catch (error) {
      if (error instanceof NoValue) {
        return { kind: 'failed', feature: feature.name, code: error.code, verdict: error.verdict }
      }
      throw error
    }
  }
  return { kind: 'computed', fresh, vouched, verdicts }
}
