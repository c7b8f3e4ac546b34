/**
 * What is kept of the rows of a key that are older than the rule: those that still tell something, with the times they have.
 *
 * Invariant: at any instant from the cut on, folding the kept steps and the rows after them gives what folding all rows
 * gave: values, their times, and the newest time. For that only a run of rows from the oldest on is folded, up to the first
 * that is not known at the cut: what was written after it may lie over it. Pure; memory holds what is kept of one key.
 */
import type { FeatureValue } from '../define/index.ts'
import type { FeatureStep } from './fold.ts'
import { formatInstant, type Instant, parseInstant } from './instant.ts'

/** As it stands in rescore.feature_base. */
export interface BaseStep {
  readonly op: 'insert' | 'update'
  readonly valid_at: string
  readonly recorded_at: string
  readonly values: Readonly<Record<string, FeatureValue>>
}

export interface StoredStep extends FeatureStep {
  readonly id: bigint
  readonly epoch: number
  readonly snapLsn: bigint
}

export interface Base {
  readonly key: string
  readonly steps: readonly BaseStep[]
  readonly id: bigint
  readonly epoch: number
  /** Of the newest step; `validAt` is that of the last. */
  readonly snapLsn: bigint
  readonly recordedAt: Instant
  readonly validAt: Instant
}

interface Live {
  readonly step: StoredStep
  readonly values: Map<string, FeatureValue>
}

function isNewer(a: StoredStep, b: StoredStep): boolean {
  return a.recordedAt === b.recordedAt ? a.snapLsn > b.snapLsn : a.recordedAt > b.recordedAt
}

/** The steps of one key, in the order they were written. */
export class BaseFold {
  readonly #cut: Instant
  readonly #until: bigint | null
  #live: Live[] = []
  readonly #home = new Map<string, Live>()
  #isStopped = false
  #last: StoredStep | null = null
  #newest: StoredStep | null = null

  /** @param until id of the first row of the key recorded at the cut or later; null: there is none */
  constructor(cut: Instant, until: bigint | null) {
    this.#cut = cut
    this.#until = until
  }

  /** Of the last row folded; null: none was, and everything is to stay as it is. */
  get upTo(): bigint | null {
    return this.#last?.id ?? null
  }

  add(step: StoredStep): void {
    const isLater = step.validAt > this.#cut || (this.#until !== null && step.id >= this.#until)
    this.#isStopped ||= isLater
    if (this.#isStopped) return
    this.#last = step
    if (this.#newest === null || isNewer(step, this.#newest)) this.#newest = step
    if (step.op !== 'update') {
      this.#live = []
      this.#home.clear()
    }
    if (step.op === 'delete') return
    const live: Live = { step, values: new Map() }
    for (const [feature, { to }] of Object.entries(step.changed ?? {})) {
      this.#home.get(feature)?.values.delete(feature)
      this.#home.set(feature, live)
      live.values.set(feature, to)
    }
    // One whose values have all been said anew is done with; the first says that the entity is there.
    this.#live = this.#live.filter(({ values }, index) => index === 0 || values.size > 0)
    this.#live.push(live)
  }

  /** Null: the entity was not there any more, and nothing is kept. */
  result(key: string): Base | null {
    const last = this.#last
    const newest = this.#newest
    if (last === null || newest === null || this.#live.length === 0) return null
    const steps = this.#live.map(({ step, values }, index) => baseStep(step, values, index === 0))
    if (!this.#live.some(({ step }) => step === newest)) steps.push(baseStep(newest, new Map(), false))
    const { id, epoch, validAt } = last
    return { key, steps, id, epoch, validAt, snapLsn: newest.snapLsn, recordedAt: newest.recordedAt }
  }
}

function baseStep(
  { op, validAt, recordedAt }: StoredStep,
  values: ReadonlyMap<string, FeatureValue>,
  isFirst: boolean,
): BaseStep {
  return {
    // A history whose beginning was deleted still says so.
    op: isFirst && op === 'insert' ? 'insert' : 'update',
    valid_at: formatInstant(validAt),
    recorded_at: formatInstant(recordedAt),
    values: Object.fromEntries(values),
  }
}

/** Back to the steps they are: the same fold reads them. @throws TypeError for what is none */
export function stepsOf(base: readonly BaseStep[]): readonly FeatureStep[] {
  return base.map(({ op, valid_at, recorded_at, values }) => ({
    op,
    changed: Object.fromEntries(Object.entries(values).map(([feature, to]) => [feature, { to }])),
    validAt: instantOf(valid_at),
    recordedAt: instantOf(recorded_at),
  }))
}

function instantOf(text: string): Instant {
  const instant = parseInstant(text)
  if (instant === null) throw new TypeError(`'${text}' in rescore.feature_base is no time.`)
  return instant
}
