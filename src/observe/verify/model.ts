/**
 * What verify needs of a loaded model, and its own way from feature values to a label.
 * Invariant: shares with src/score only the artifact (through `infer`) and the declared tolerance.
 */
import type { Model } from '../../define/index.ts'
import type { FeatureValues } from './compute.ts'

export interface VerifiedModel {
  readonly model: Model
  readonly version: string
  readonly artifactHash: string
  readonly manifest: {
    /** In the order of the matrix columns. */
    readonly inputs: readonly { readonly feature: string; readonly missing: 'nan' | number }[]
    readonly classes: readonly string[]
    /** The class the threshold is on. */
    readonly positive: string
    readonly threshold: number
  }
  /** rows × inputs, row-major → rows × classes, row-major */
  infer(matrix: Float32Array, rows: number): Promise<Float32Array>
}

function cell(value: unknown, missing: 'nan' | number): number {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value === null || value === undefined) return missing === 'nan' ? Number.NaN : missing
  throw new TypeError('A model input is a number or a boolean.')
}

/** Probabilities of every class, one array per entity. */
export async function probabilitiesOf(
  loaded: VerifiedModel,
  entities: readonly FeatureValues[],
): Promise<readonly (readonly number[])[]> {
  if (entities.length === 0) return []
  const { manifest } = loaded
  const matrix = Float32Array.from(
    entities.flatMap((values) => manifest.inputs.map(({ feature, missing }) => cell(values.get(feature), missing))),
  )
  const flat = await loaded.infer(matrix, entities.length)
  const width = manifest.classes.length
  return entities.map((_, row) => [...flat.subarray(row * width, (row + 1) * width)])
}

export interface Verdict {
  readonly label: string
  /** Of the class the threshold is on. */
  readonly probability: number
  readonly probabilities: readonly number[]
}

/** The positive class from its threshold on, else the likeliest of the others. */
export function verdict({ manifest }: VerifiedModel, probabilities: readonly number[]): Verdict {
  const { classes, positive, threshold } = manifest
  const at = (name: string) => probabilities[classes.indexOf(name)] ?? Number.NaN
  const others = classes.filter((name) => name !== positive)
  const likeliest = others.reduce((best, name) => (at(name) > at(best) ? name : best), others[0] ?? positive)
  const probability = at(positive)
  return { label: probability >= threshold ? positive : likeliest, probability, probabilities }
}
