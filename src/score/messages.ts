/** What the inference thread and its owner say to each other. Types only: neither side runs code of the other. */

export interface Artifact {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly inputName: string
  readonly outputName: string
}

/** Shape and element type of a tensor as the artifact declares it; a dimension that is not fixed is null. */
export interface TensorShape {
  readonly name: string
  readonly type: string
  readonly shape: readonly (number | null)[]
}

export interface Signature {
  readonly inputs: readonly TensorShape[]
  readonly outputs: readonly TensorShape[]
}

export interface ThreadData {
  readonly artifacts: readonly Artifact[]
}

export interface Request {
  readonly id: number
  /** Place of the model in `ThreadData.artifacts`. */
  readonly model: number
  readonly matrix: Float32Array<ArrayBuffer>
  readonly rows: number
}

export type Answer =
  | { readonly kind: 'ready'; readonly signatures: readonly Signature[] }
  | { readonly kind: 'refused'; readonly model: number; readonly reason: string }
  | { readonly kind: 'output'; readonly id: number; readonly output: Float32Array; readonly width: number }
  | { readonly kind: 'failed'; readonly id: number; readonly reason: string }
