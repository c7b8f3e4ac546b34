/**
 * Stored classifications, and their history, against what the deployed model says of the features from scratch.
 * Invariant: a label may differ only where the probability is within the tolerance of the threshold.
 */
import { PROBABILITY_TOLERANCE } from '../../score/tolerance.ts'
import type { Difference } from './difference.ts'
import { type Verdict, type VerifiedModel, verdict } from './model.ts'
import { difference, type Subject } from './subject.ts'
import type { Row } from './values.ts'

const isNear = (a: unknown, b: unknown) => Math.abs(Number(a) - Number(b)) <= PROBABILITY_TOLERANCE

function stored(row: Row): Verdict {
  const list = Array.isArray(row.probabilities) ? row.probabilities.map(Number) : []
  return { label: String(row.label), probability: Number(row.probability), probabilities: list }
}

function isSameProbability(a: Verdict, b: Verdict): boolean {
  return (
    isNear(a.probability, b.probability) &&
    a.probabilities.length === b.probabilities.length &&
    a.probabilities.every((value, index) => isNear(value, b.probabilities[index]))
  )
}

function checkProvenance(subject: Subject, loaded: VerifiedModel, row: Row): readonly Difference[] {
  const what = loaded.model.name
  const found: Difference[] = []
  for (const [column, expected] of [
    ['model_version', loaded.version],
    ['artifact_hash', loaded.artifactHash],
  ] as const) {
    if (row[column] === expected) continue
    const message = `${column} is '${row[column]}'; deployed is '${expected}'.`
    found.push(difference(subject, 'provenance', { what, stored: row[column], expected, message }))
  }
  for (const column of ['fingerprint', 'features_lsn', 'snap_lsn']) {
    if (typeof row[column] === 'string' && row[column] !== '') continue
    found.push(
      difference(subject, 'provenance', { what, stored: null, expected: column, message: `${column} is missing.` }),
    )
  }
  return found
}

/**
 * @param probabilities from scratch; null when the entity is not there or cannot be computed
 * @param isSilenced its features were computed silently since: what it says is of before, who says it is not
 */
export function checkScore(
  subject: Subject,
  loaded: VerifiedModel,
  probabilities: readonly number[] | null,
  isSilenced: boolean,
): readonly Difference[] {
  const what = loaded.model.name
  const row = subject.classifications.get(what)
  if (subject.outcome?.kind === 'failed') return []
  // What the model has no answer for is not written either: the stage tells of it (MODEL_NOT_FINITE).
  if (probabilities?.every(Number.isFinite) === false) return []
  if (probabilities === null) {
    if (row === undefined) return []
    const message = 'A classification is there, but the entity is not.'
    return [difference(subject, 'classification-extra', { what, stored: stored(row), expected: null, message })]
  }
  const expected = verdict(loaded, probabilities)
  if (isSilenced) return row === undefined ? [] : checkProvenance(subject, loaded, row)
  if (row === undefined) {
    const message = 'The entity has no classification.'
    return [difference(subject, 'classification-missing', { what, stored: null, expected, message })]
  }
  const found = [...checkProvenance(subject, loaded, row)]
  const is = stored(row)
  const isAtThreshold = isNear(expected.probability, loaded.manifest.threshold)
  if (is.label !== expected.label && !isAtThreshold) {
    const message = `The label is '${is.label}'; from scratch it is '${expected.label}'.`
    found.push(difference(subject, 'label', { what, stored: is.label, expected: expected.label, message }))
  }
  if (!isSameProbability(is, expected)) {
    const message = `The probability is ${is.probability}; from scratch it is ${expected.probability}.`
    found.push(
      difference(subject, 'probability', {
        what,
        stored: is.probabilities,
        expected: expected.probabilities,
        message,
      }),
    )
  }
  return found
}

/** Classifications of models that nobody knows; those of one gone from the code are named once, as its definition. */
export function checkUnknownModels(subject: Subject, known: ReadonlySet<string>): readonly Difference[] {
  return [...subject.classifications]
    .filter(([model]) => !known.has(model))
    .map(([what, row]) => {
      const message = 'A classification of a model that was never deployed.'
      return difference(subject, 'classification-extra', { what, stored: stored(row), expected: null, message })
    })
}

interface Score {
  readonly label: unknown
  readonly probability: unknown
}

/** Folds the classification history of one entity and model, one row at a time, oldest first. */
export class ScoreFold {
  /** Null while there is no classification. */
  state: Score | null = null
  rows = 0
  broken: string | null = null

  add(row: Row): void {
    this.rows += 1
    const from = row.from_label === null ? null : { label: row.from_label, probability: row.from_probability }
    if (!isSameScore(from, this.state)) {
      this.broken ??= `History row ${row.id} starts from ${says(from)}; the state before it is ${says(this.state)}.`
    }
    this.state =
      row.op === 'delete' || row.to_label === null ? null : { label: row.to_label, probability: row.to_probability }
  }
}

const says = (score: Score | null) => (score === null ? 'nothing' : `${score.label} ${score.probability}`)

function isSameScore(a: Score | null, b: Score | null): boolean {
  if (a === null || b === null) return a === b
  return a.label === b.label && isNear(a.probability, b.probability)
}

/** As for features: a stored classification that is wrong is named once, by `checkScore`. */
export function checkScoreHistory(
  subject: Subject,
  loaded: VerifiedModel,
  probabilities: readonly number[] | null,
  fold: ScoreFold,
): readonly Difference[] {
  const row = subject.classifications.get(loaded.model.name)
  const is = row === undefined ? null : stored(row)
  const isAside = subject.outcome?.kind === 'failed' || probabilities?.every(Number.isFinite) === false
  const shouldBe = isAside ? is : probabilities === null ? null : verdict(loaded, probabilities)
  const isRight = isSameScore(fold.state, is) || isSameScore(fold.state, shouldBe)
  if (fold.broken === null && isRight) return []
  const message = fold.broken ?? `History ends with ${says(fold.state)}; stored is ${says(is)}.`
  return [
    difference(subject, 'history', { what: loaded.model.name, stored: says(is), expected: says(fold.state), message }),
  ]
}
