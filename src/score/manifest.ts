/**
 * The manifest of a model: what its artifact expects, gives and is worth nothing without.
 *
 * Invariant: a manifest that parses says everything needed to build the input row and to read the output; nothing about
 * a model is guessed from its artifact.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import type { Model } from '../define/index.ts'
import { asError } from '../errors.ts'
import { readModelFile } from './files.ts'
import { modelError } from './refuse.ts'

/** A bare name: a manifest never points outside its own folder. */
const fileName = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'must be the name of a file in the same folder')

const input = z.strictObject({
  feature: z.string().min(1),
  /** Text must be encoded as features before: a model reads one float32 matrix. */
  type: z.enum(['number', 'boolean']),
  /** What stands in the row for null; the training used the same. */
  missing: z.union([z.literal('nan'), z.number()]),
})

const schema = z
  .strictObject({
    name: z.string().min(1),
    version: z.string().min(1),
    artifact: fileName,
    sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits'),
    /** In the order of the columns of the input matrix. */
    inputs: z.array(input).min(1),
    input_name: z.string().min(1),
    probabilities_output: z.string().min(1),
    /** In the order of the columns of the output matrix. */
    classes: z.array(z.string().min(1)).min(2),
    /** The class whose probability is held against the threshold. */
    positive: z.string(),
    threshold: z.number().gt(0).lt(1),
    /** The artifact gives probabilities itself. */
    postprocess: z.literal('none'),
    parity: fileName,
    /** The data set it was trained on, if it was one of ours. Decides nothing: it says where the model comes from. */
    trained_on: z
      .strictObject({
        dataset: z.string().min(1),
        sha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits'),
        definitions: z.array(z.strictObject({ feature: z.string(), version: z.number().int(), hash: z.string() })),
      })
      .optional(),
  })
  .superRefine((manifest, context) => {
    const report = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    const features = manifest.inputs.map(({ feature }) => feature)
    if (new Set(features).size !== features.length) report('inputs', 'names a feature twice')
    if (new Set(manifest.classes).size !== manifest.classes.length) report('classes', 'names a class twice')
    if (!manifest.classes.includes(manifest.positive)) report('positive', 'must be one of the classes')
  })

export type Manifest = z.infer<typeof schema>
export type ManifestInput = Manifest['inputs'][number]

/** @throws RescoreError MODEL_MANIFEST_MISSING, MODEL_MANIFEST_INVALID */
export async function readManifest(model: Model): Promise<Manifest> {
  const text = await readModelFile(model.name, { folder: model.folder, name: 'manifest.json', kind: 'manifest' })
  return parseManifest(model.name, text.toString('utf8'))
}

/** @throws RescoreError MODEL_MANIFEST_INVALID */
export function parseManifest(model: string, text: string): Manifest {
  const refuse = (reason: string, cause?: unknown) =>
    modelError({
      code: 'MODEL_MANIFEST_INVALID',
      model,
      message: `manifest.json of model '${model}' cannot be used: ${reason}.`,
      mend: 'Write it again with the training script; models/training/fit.py shows every field.',
      cause,
    })
  let data: unknown
  try {
    data = JSON.parse(text)
  } catch (error) {
    throw refuse(asError(error).message, error)
  }
  const parsed = schema.safeParse(data)
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the whole'}: ${message}`)
    throw refuse(issues.slice(0, 5).join('; '), parsed.error)
  }
  if (parsed.data.name !== model) throw refuse(`it is of model '${parsed.data.name}'`)
  return parsed.data
}

/** The code's word for a manifest's type: a float32 column holds any numeric feature. */
function isAccepted(type: string, accepted: ManifestInput['type']): boolean {
  return type === accepted || (type === 'integer' && accepted === 'number')
}

/** The code names the features (the lineage), the manifest their order: both must be about the same ones. */
export function checkInputs(model: Model, manifest: Manifest): void {
  const declared = new Map(model.features.map(({ name, type }) => [name, type]))
  const listed = new Map(manifest.inputs.map(({ feature, type }) => [feature, type]))
  const differences = [
    ...[...listed].flatMap(([feature, type]) => {
      const inCode = declared.get(feature)
      if (inCode === undefined) return [`'${feature}' is in the manifest only`]
      return isAccepted(inCode, type) ? [] : [`'${feature}' is ${inCode} in the code and ${type} in the manifest`]
    }),
    ...[...declared.keys()].filter((name) => !listed.has(name)).map((name) => `'${name}' is in the code only`),
  ]
  if (differences.length === 0) return
  const show = (inputs: ReadonlyMap<string, string>) =>
    [...inputs].map(([name, type]) => `${name} (${type})`).join(', ')
  throw modelError({
    code: 'MODEL_INPUTS_MISMATCH',
    model: model.name,
    message: `Model '${model.name}' and its manifest name different inputs: ${differences.join('; ')}. Code: ${show(declared)}. Manifest: ${show(listed)}.`,
    mend: 'Name in defineModel exactly the features the manifest lists, or train again with the features of the code.',
  })
}

/**
 * sha-256 over the artifact and everything of the manifest that decides a classification, so that a moved threshold
 * makes stored classifications stale just as another artifact does.
 */
export function artifactHash(manifest: Manifest): string {
  const { sha256, inputs, classes, positive, threshold, postprocess, input_name, probabilities_output } = manifest
  const deciding = [sha256, inputs, classes, positive, threshold, postprocess, input_name, probabilities_output]
  return createHash('sha256').update(JSON.stringify(deciding)).digest('hex')
}
