/**
 * The models of a project, checked and ready to score.
 *
 * Invariant: a model that is loaded has been shown to be the one its manifest describes (hash), to read what the code
 * names (inputs) and to give what it gave in training (parity). One that cannot be shown stops the start: a wrong score
 * is worse than none.
 */
import type { Model } from '../define/index.ts'
import { corruptArtifact, readArtifact } from './files.ts'
import { artifactHash, checkInputs, type Manifest, readManifest } from './manifest.ts'
import type { Artifact, Signature } from './messages.ts'
import { checkParity } from './parity.ts'
import { modelError } from './refuse.ts'
import { ArtifactRefused, InferenceThread } from './thread.ts'

export interface LoadedModel {
  readonly model: Model
  readonly manifest: Manifest
  readonly version: string
  /** sha-256 over the artifact and what its manifest decides: another one makes stored classifications stale. */
  readonly artifactHash: string
  /**
   * @param matrix rows × inputs, row-major, in manifest order, already float32 with missing tokens
   * @returns rows × classes, row-major, in manifest order
   */
  infer(matrix: Float32Array, rows: number): Promise<Float32Array>
}

export interface ModelSet extends AsyncDisposable {
  readonly models: readonly LoadedModel[]
}

/** Rows handed to the thread at once: enough for full speed, few enough to end soon. */
export const MAX_BATCH_ROWS = 2_048

interface Described {
  readonly model: Model
  readonly manifest: Manifest
  readonly artifact: Artifact
}

async function describe(model: Model): Promise<Described> {
  const manifest = await readManifest(model)
  checkInputs(model, manifest)
  const file = { folder: model.folder, name: manifest.artifact, sha256: manifest.sha256 }
  const bytes = await readArtifact(model.name, file)
  const { input_name: inputName, probabilities_output: outputName } = manifest
  return { model, manifest, artifact: { bytes, inputName, outputName } }
}

/** The artifact must be one float32 matrix in, one out, as wide as the manifest says. */
function checkSignature({ model, manifest }: Described, signature: Signature): void {
  const { inputs, input_name, classes, probabilities_output } = manifest
  const show = (shapes: Signature['inputs']) =>
    shapes.map(({ name, type, shape }) => `${name} ${type}[${shape.map((size) => size ?? 'n').join(', ')}]`).join(', ')
  const fits = (shapes: Signature['inputs'], name: string, width: number) => {
    const found = shapes.find((each) => each.name === name)
    const last = found?.shape.at(-1)
    return found?.type === 'float32' && found.shape.length === 2 && (last === null || last === width)
  }
  const isRight =
    signature.inputs.length === 1 &&
    fits(signature.inputs, input_name, inputs.length) &&
    fits(signature.outputs, probabilities_output, classes.length)
  if (isRight) return
  throw modelError({
    code: 'MODEL_INPUTS_MISMATCH',
    model: model.name,
    message: `The artifact of model '${model.name}' reads ${show(signature.inputs)} and gives ${show(signature.outputs)}; its manifest says ${input_name} float32[n, ${inputs.length}] and ${probabilities_output} float32[n, ${classes.length}].`,
    mend: 'Export the model with one float32 matrix as input and its probabilities as output (zipmap off).',
  })
}

/** In batches; a single row is doubled, because one row alone gives other bits than the same row among others. */
async function inferInBatches(
  thread: InferenceThread,
  place: number,
  manifest: Manifest,
  matrix: Float32Array,
  rows: number,
): Promise<Float32Array> {
  const width = manifest.inputs.length
  const classes = manifest.classes.length
  if (matrix.length !== rows * width) {
    throw new RangeError(`Model '${manifest.name}' reads ${rows} × ${width} values, got ${matrix.length}.`)
  }
  const probabilities = new Float32Array(rows * classes)
  for (let from = 0; from < rows; from += MAX_BATCH_ROWS) {
    const count = Math.min(MAX_BATCH_ROWS, rows - from)
    const padded = Math.max(2, count)
    const batch = new Float32Array(padded * width)
    batch.set(matrix.subarray(from * width, (from + count) * width))
    if (count < padded) batch.copyWithin(width, 0, width)
    const { output, width: found } = await thread.run(place, batch, padded)
    if (found !== classes) {
      throw corruptArtifact(manifest.name, `it gives ${found} probabilities a row for ${classes} classes`)
    }
    probabilities.set(output.subarray(0, count * classes), from * classes)
  }
  return probabilities
}

async function startThread(thread: InferenceThread, described: readonly Described[]): Promise<readonly Signature[]> {
  try {
    return await thread.start()
  } catch (error) {
    if (!(error instanceof ArtifactRefused)) throw error
    const name = described[error.model]?.model.name ?? 'unknown'
    throw corruptArtifact(name, `the runtime cannot load it (${error.message})`, error)
  }
}

/**
 * Reads, checks and loads every model; the caller disposes the set, which ends its thread.
 * @throws RescoreError of fate stop: MODEL_MANIFEST_MISSING, MODEL_MANIFEST_INVALID, MODEL_INPUTS_MISMATCH,
 *   MODEL_ARTIFACT_MISSING, MODEL_ARTIFACT_CORRUPT, MODEL_EXTERNAL_DATA, MODEL_FILE_TOO_LARGE, MODEL_PARITY_MISSING,
 *   MODEL_PARITY_FAILED, MODEL_DUPLICATE
 */
export async function loadModels(
  models: readonly Model[],
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<ModelSet> {
  const described: Described[] = []
  for (const model of models) {
    signal?.throwIfAborted()
    if (described.some((other) => other.model.name === model.name)) {
      throw modelError({
        code: 'MODEL_DUPLICATE',
        model: model.name,
        message: `Two models are named '${model.name}'.`,
        mend: 'Rename one of them in its defineModel and its manifest.json.',
      })
    }
    described.push(await describe(model))
  }
  const thread = new InferenceThread({ artifacts: described.map(({ artifact }) => artifact) })
  const close = () => thread.close()
  try {
    const signatures = described.length === 0 ? [] : await startThread(thread, described)
    const loaded = described.map(({ model, manifest }, place): LoadedModel => {
      const infer = (matrix: Float32Array, rows: number) => inferInBatches(thread, place, manifest, matrix, rows)
      return { model, manifest, version: manifest.version, artifactHash: artifactHash(manifest), infer }
    })
    for (const [place, each] of described.entries()) {
      signal?.throwIfAborted()
      const signature = signatures[place]
      if (signature !== undefined) checkSignature(each, signature)
    }
    for (const { model, manifest, infer } of loaded) {
      signal?.throwIfAborted()
      await checkParity({ folder: model.folder, manifest, infer })
    }
    return { models: loaded, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
