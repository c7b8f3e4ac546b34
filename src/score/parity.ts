/**
 * The parity file: rows with the probabilities the training environment gave, scored again here before a model is used.
 * Invariant: an artifact that this runtime computes otherwise than it was trained never scores anything.
 */
import * as z from 'zod'
import { asError } from '../errors.ts'
import { encodeRow, type StoredValue } from './encode.ts'
import { readModelFile } from './files.ts'
import type { Manifest } from './manifest.ts'
import { modelError } from './refuse.ts'
import { PROBABILITY_TOLERANCE } from './tolerance.ts'

const value = z.union([z.number(), z.boolean(), z.null()])
const schema = z.object({
  rows: z.array(z.object({ inputs: z.record(z.string(), value), probabilities: z.array(z.number()) })).min(2),
})
type ParityRow = z.infer<typeof schema>['rows'][number]

interface ParityOptions {
  readonly folder: string
  readonly manifest: Manifest
  /** rows × inputs to rows × classes, both row-major. */
  infer(matrix: Float32Array, rows: number): Promise<Float32Array>
}

function failed(manifest: Manifest, reason: string, cause?: unknown) {
  return modelError({
    code: 'MODEL_PARITY_FAILED',
    model: manifest.name,
    message: `Model '${manifest.name}' does not give here what it gave in training: ${reason}.`,
    mend: 'Train again on inputs rounded to float32, and let one script write artifact, manifest and parity file.',
    cause,
  })
}

async function readRows({ folder, manifest }: ParityOptions): Promise<readonly ParityRow[]> {
  const text = await readModelFile(manifest.name, { folder, name: manifest.parity, kind: 'parity' })
  try {
    return schema.parse(JSON.parse(text.toString('utf8'))).rows
  } catch (error) {
    throw failed(manifest, `${manifest.parity} cannot be read (${asError(error).message.slice(0, 200)})`, error)
  }
}

function encodeParityRow(manifest: Manifest, row: ParityRow, index: number, matrix: Float32Array): void {
  const values = manifest.inputs.map(({ feature }): StoredValue => {
    const found = row.inputs[feature]
    if (found === undefined) throw failed(manifest, `row ${index} of ${manifest.parity} has no '${feature}'`)
    return found
  })
  try {
    encodeRow(manifest, values, matrix, index * manifest.inputs.length)
  } catch (error) {
    throw failed(manifest, `row ${index} of ${manifest.parity}: ${asError(error).message}`, error)
  }
}

/** @throws RescoreError MODEL_PARITY_MISSING, MODEL_PARITY_FAILED */
export async function checkParity(options: ParityOptions): Promise<void> {
  const { manifest, infer } = options
  const rows = await readRows(options)
  const matrix = new Float32Array(rows.length * manifest.inputs.length)
  for (const [index, row] of rows.entries()) encodeParityRow(manifest, row, index, matrix)
  const found = await infer(matrix, rows.length)
  const width = manifest.classes.length
  const worst = { difference: 0, reason: '' }
  for (const [index, { probabilities }] of rows.entries()) {
    if (probabilities.length !== width) {
      throw failed(manifest, `row ${index} has ${probabilities.length} probabilities for ${width} classes`)
    }
    for (const [at, expected] of probabilities.entries()) {
      const here = Number(found[index * width + at])
      const difference = Number.isNaN(here) ? Number.POSITIVE_INFINITY : Math.abs(here - expected)
      if (difference <= worst.difference) continue
      worst.difference = difference
      worst.reason = `row ${index}, class '${manifest.classes[at]}': ${expected} in training, ${here} here`
    }
  }
  if (worst.difference <= PROBABILITY_TOLERANCE) return
  throw failed(manifest, `${worst.reason}, ${worst.difference} apart; allowed is ${PROBABILITY_TOLERANCE}`)
}
