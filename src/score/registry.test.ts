/** Models are loaded only when everything about them agrees, and every refusal says what does not. */
import { readFile, rm, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { growth } from '../../models/growth/model.ts'
import { risk } from '../../models/risk/model.ts'
import { copyOfPair } from '../../test/support/models/copy.ts'
import { amount, colour, pair, visits } from '../../test/support/models/pair/model.ts'
import { encodeRow } from './encode.ts'
import { loadModels, MAX_BATCH_ROWS } from './registry.ts'

type Copy = Awaited<ReturnType<typeof copyOfPair>>

/** The weight of the first input moved a little: still an ONNX file, another function. */
function withOtherWeights(bytes: Buffer): Buffer {
  const weight = Buffer.alloc(4)
  weight.writeFloatLE(0.75)
  const at = bytes.indexOf(weight)
  const changed = Buffer.from(bytes)
  changed.writeFloatLE(0.7501, at)
  return changed
}

/** Appending to a protocol-buffer message merges into it: graph { initializer { name: "w", external_data {} } }. */
const EXTERNAL_TENSOR = Buffer.from([0x3a, 0x07, 0x2a, 0x05, 0x42, 0x01, 0x77, 0x6a, 0x00])

const refusals: readonly [string, string, RegExp, (copy: Copy) => Promise<unknown>][] = [
  [
    'without a manifest',
    'MODEL_MANIFEST_MISSING',
    /manifest\.json of model 'pair'/,
    (copy) => rm(copy.path('manifest.json')),
  ],
  [
    'whose manifest is not JSON',
    'MODEL_MANIFEST_INVALID',
    /JSON/,
    (copy) => writeFile(copy.path('manifest.json'), '{"name":'),
  ],
  [
    'whose manifest is of another model',
    'MODEL_MANIFEST_INVALID',
    /of model 'other'/,
    (copy) => copy.changeManifest({ name: 'other' }),
  ],
  [
    'with an unknown postprocess',
    'MODEL_MANIFEST_INVALID',
    /postprocess/,
    (copy) => copy.changeManifest({ postprocess: 'softmax' }),
  ],
  [
    'whose positive class is none of its classes',
    'MODEL_MANIFEST_INVALID',
    /positive: must be one of the classes/,
    (copy) => copy.changeManifest({ positive: 'loud' }),
  ],
  [
    'whose artifact is outside its folder',
    'MODEL_MANIFEST_INVALID',
    /artifact: must be the name of a file/,
    (copy) => copy.changeManifest({ artifact: '../model.onnx' }),
  ],
  [
    'with a text input',
    'MODEL_MANIFEST_INVALID',
    /inputs\.0\.type/,
    (copy) => copy.changeManifest({ inputs: [{ feature: 'amount', type: 'text', missing: 0 }] }),
  ],
  [
    'without its artifact',
    'MODEL_ARTIFACT_MISSING',
    /model\.onnx of model 'pair'/,
    (copy) => rm(copy.path('model.onnx')),
  ],
  [
    'with one byte of its artifact flipped',
    'MODEL_ARTIFACT_CORRUPT',
    /has the sha-256/,
    (copy) => copy.writeArtifact(withOtherWeights(copy.artifact), { keepHash: true }),
  ],
  [
    'with a truncated artifact',
    'MODEL_ARTIFACT_CORRUPT',
    /not an ONNX file|cannot load it/,
    (copy) => copy.writeArtifact(copy.artifact.subarray(0, 200)),
  ],
  ['with an empty artifact', 'MODEL_ARTIFACT_CORRUPT', /cannot load it/, (copy) => copy.writeArtifact(Buffer.alloc(0))],
  [
    'with weights in another file',
    'MODEL_EXTERNAL_DATA',
    /weights of 'w'/,
    (copy) => copy.writeArtifact(Buffer.concat([copy.artifact, EXTERNAL_TENSOR])),
  ],
  [
    'whose artifact reads another input than its manifest says',
    'MODEL_INPUTS_MISMATCH',
    /reads features float32\[n, 3\].*says other float32\[n, 3\]/,
    (copy) => copy.changeManifest({ input_name: 'other' }),
  ],
  ['without its parity file', 'MODEL_PARITY_MISSING', /parity\.json/, (copy) => rm(copy.path('parity.json'))],
  [
    'with other weights than it was checked with',
    'MODEL_PARITY_FAILED',
    /row \d+, class '\w+': .* apart/,
    (copy) => copy.writeArtifact(withOtherWeights(copy.artifact)),
  ],
  [
    'with a parity file that lacks an input',
    'MODEL_PARITY_FAILED',
    /row 0 .* has no 'amount'/,
    (copy) =>
      writeFile(
        copy.path('parity.json'),
        '{"rows":[{"inputs":{},"probabilities":[0,1]},{"inputs":{},"probabilities":[0,1]}]}',
      ),
  ],
]

describe('a model', () => {
  test.each(refusals)('%s is refused with %s', async (_, code, message, spoil) => {
    await using copy = await copyOfPair()
    await spoil(copy)
    await expect(loadModels([copy.model])).rejects.toMatchObject({
      name: 'RescoreError',
      code,
      fate: 'stop',
      message: expect.stringMatching(message),
      mend: expect.stringMatching(/.{20,}/),
    })
  })

  test('whose code names other features is refused with both lists', async () => {
    const other = { ...pair, features: [amount, colour, { ...visits, type: 'text' as const }] }
    await expect(loadModels([other])).rejects.toMatchObject({
      code: 'MODEL_INPUTS_MISMATCH',
      message: expect.stringMatching(
        /'visits' is text in the code and number in the manifest; 'is_partner' is in the manifest only; 'colour' is in the code only\. Code: amount \(number\), colour \(integer\), visits \(text\)\. Manifest: amount \(number\), visits \(number\), is_partner \(boolean\)/,
      ),
    })
  })

  test('of a name that is taken is refused', async () => {
    await expect(loadModels([pair, pair])).rejects.toMatchObject({ code: 'MODEL_DUPLICATE', fate: 'stop' })
  })
})

test('the shipped models load, pass their parity files and are ready to score', async () => {
  await using set = await loadModels([growth, risk])
  expect(set.models.map(({ model, version }) => [model.name, version])).toEqual([
    ['growth', '1'],
    ['risk', '1'],
  ])
})

test('a moved threshold is another artifact hash, an equal copy is the same', async () => {
  await using original = await loadModels([pair])
  await using copy = await copyOfPair()
  await using same = await loadModels([copy.model])
  await copy.changeManifest({ threshold: 0.6 })
  await using moved = await loadModels([copy.model])
  expect(same.models[0]?.artifactHash).toBe(original.models[0]?.artifactHash)
  expect(moved.models[0]?.artifactHash).not.toBe(original.models[0]?.artifactHash)
})

test.each([growth, risk])('$name gives a row the same bits alone, among seven, and across batches', async (model) => {
  await using set = await loadModels([model])
  const [loaded] = set.models
  if (loaded === undefined) throw new Error('The model was not loaded.')
  const { manifest } = loaded
  const { rows } = JSON.parse(await readFile(new URL(manifest.parity, model.folder), 'utf8'))
  const width = manifest.inputs.length
  const count = MAX_BATCH_ROWS + 1
  const matrix = new Float32Array(count * width)
  for (let row = 0; row < count; row += 1) {
    const { inputs } = rows[row % rows.length]
    const values = manifest.inputs.map(({ feature }) => inputs[feature])
    encodeRow(manifest, values, matrix, row * width)
  }
  const all = await loaded.infer(matrix, count)
  for (const size of [1, 7]) {
    for (let from = 0; from + size <= 21; from += size) {
      const found = await loaded.infer(matrix.subarray(from * width, (from + size) * width), size)
      expect(found).toEqual(all.subarray(from * 2, (from + size) * 2))
    }
  }
  // The last row was alone in its batch; it is the same company as an earlier one.
  expect(all.subarray(-2)).toEqual(all.subarray(((count - 1) % rows.length) * 2).subarray(0, 2))
})

test('loading stops when its signal has aborted', async () => {
  const reason = new Error('asked to end')
  await expect(loadModels([pair], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})
