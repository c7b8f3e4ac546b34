/**
 * Reading a model's files: bounded in size, the artifact only with the hash its manifest names.
 *
 * Invariant: what is handed to the runtime is one file read once, checked in the bytes that are loaded; an artifact
 * that points at further files (ONNX external data) is refused, because those are covered by no hash and could name
 * any path of the machine.
 */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { asError } from '../errors.ts'
import { findExternalData } from './onnx-file.ts'
import { modelError } from './refuse.ts'

export type ModelFileKind = 'manifest' | 'artifact' | 'parity'

export interface ModelFile {
  /** Absolute `file:` URL, ends with a slash. */
  readonly folder: string
  readonly name: string
  readonly kind: ModelFileKind
}

const MAX_BYTES = { manifest: 1 << 20, artifact: 256 << 20, parity: 64 << 20 } as const satisfies Record<
  ModelFileKind,
  number
>

const MISSING = {
  manifest: 'MODEL_MANIFEST_MISSING',
  artifact: 'MODEL_ARTIFACT_MISSING',
  parity: 'MODEL_PARITY_MISSING',
} as const satisfies Record<ModelFileKind, string>

/** @throws RescoreError MODEL_MANIFEST_MISSING, MODEL_ARTIFACT_MISSING, MODEL_PARITY_MISSING, MODEL_FILE_TOO_LARGE */
export async function readModelFile(model: string, { folder, name, kind }: ModelFile): Promise<Buffer> {
  const url = new URL(name, folder)
  try {
    await using file = await open(url, 'r')
    const { size } = await file.stat()
    if (size > MAX_BYTES[kind]) {
      throw modelError({
        code: 'MODEL_FILE_TOO_LARGE',
        model,
        message: `${name} of model '${model}' has ${size} bytes; at most ${MAX_BYTES[kind]} are read.`,
        mend: 'Train a smaller model, or serve it from a process of its own.',
      })
    }
    return await file.readFile()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code !== 'ENOENT' && code !== 'EISDIR' && code !== 'EACCES') throw error
    throw modelError({
      code: MISSING[kind],
      model,
      message: `${name} of model '${model}' cannot be read in ${fileURLToPath(folder)} (${code}).`,
      mend: `Put ${name} beside the file that defines the model; its training script writes it.`,
      cause: error,
    })
  }
}

export function corruptArtifact(model: string, reason: string, cause?: unknown) {
  return modelError({
    code: 'MODEL_ARTIFACT_CORRUPT',
    model,
    message: `The artifact of model '${model}' cannot be used: ${reason}.`,
    mend: 'Copy the artifact again, or write it and its manifest again with the training script.',
    cause,
  })
}

/** @throws RescoreError MODEL_ARTIFACT_MISSING, MODEL_FILE_TOO_LARGE, MODEL_ARTIFACT_CORRUPT, MODEL_EXTERNAL_DATA */
export async function readArtifact(
  model: string,
  { folder, name, sha256 }: { readonly folder: string; readonly name: string; readonly sha256: string },
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = await readModelFile(model, { folder, name, kind: 'artifact' })
  const found = createHash('sha256').update(bytes).digest('hex')
  if (found !== sha256) {
    throw corruptArtifact(model, `${name} has the sha-256 ${found}, its manifest says ${sha256}`)
  }
  let external: string | null
  try {
    external = findExternalData(bytes)
  } catch (error) {
    throw corruptArtifact(model, `${name} is not an ONNX file (${asError(error).message})`, error)
  }
  if (external !== null) {
    throw modelError({
      code: 'MODEL_EXTERNAL_DATA',
      model,
      message: `${name} of model '${model}' keeps the weights of '${external}' in another file.`,
      mend: 'Save the model as one file: onnx.save(model, path, save_as_external_data=False).',
    })
  }
  return new Uint8Array(bytes)
}
