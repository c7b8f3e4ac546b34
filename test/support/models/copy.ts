/** A copy of the model `pair` in a folder of its own, to be changed by a test; disposing removes it. */
import { createHash } from 'node:crypto'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Model } from '../../../src/define/index.ts'
import { pair } from './pair/model.ts'

interface Folder extends AsyncDisposable {
  readonly model: Model
  path(name: string): string
  readonly artifact: Buffer
  /** Writes the artifact; the manifest then names its hash, unless it is to disagree. */
  writeArtifact(bytes: Uint8Array, options?: { readonly keepHash?: boolean }): Promise<void>
  changeManifest(change: Readonly<Record<string, unknown>>): Promise<void>
}

export async function copyOfPair(): Promise<Folder> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-model-'))
  await cp(fileURLToPath(pair.folder), folder, { recursive: true })
  const path = (name: string) => join(folder, name)
  const changeManifest = async (change: Readonly<Record<string, unknown>>) => {
    const manifest = JSON.parse(await readFile(path('manifest.json'), 'utf8'))
    await writeFile(path('manifest.json'), JSON.stringify({ ...manifest, ...change }))
  }
  return {
    model: { ...pair, folder: `${pathToFileURL(folder).href}/` },
    path,
    artifact: await readFile(path('model.onnx')),
    changeManifest,
    writeArtifact: async (bytes, { keepHash = false } = {}) => {
      await writeFile(path('model.onnx'), bytes)
      if (!keepHash) await changeManifest({ sha256: createHash('sha256').update(bytes).digest('hex') })
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
