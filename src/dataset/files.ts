/**
 * The files of a data set on their way: data, rejects, manifest.
 * Invariant: all are whole on the disk before the first takes its name, and the manifest takes its name last: a folder with
 * a manifest is whole. What fails before leaves nothing; a crash leaves `.partial` files, which the next try writes over.
 */
import { mkdir, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { refuse } from './errors.ts'
import { type FileEntry, HashedFile } from './hashed-file.ts'
import type { Rejected } from './labels.ts'
import { type Manifest, type ManifestContent, manifestText, readManifest, sealed } from './manifest.ts'
import { type Column, ParquetRows } from './parquet.ts'

export const MANIFEST = 'manifest.json'
const DATA = 'data.parquet'
const REJECTS = 'rejects.csv'

const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
const csvLine = (fields: readonly string[]) => Buffer.from(`${fields.map(quoted).join(',')}\n`)

/** @returns null when the file is not there */
export async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

export class DatasetFiles implements AsyncDisposable {
  readonly #folder: string
  readonly #header: readonly string[]
  readonly #data: HashedFile
  readonly #rows: ParquetRows
  #rejects: HashedFile | null = null
  #manifest: HashedFile | null = null
  #rejected = 0

  private constructor(folder: string, header: readonly string[], data: HashedFile, columns: readonly Column[]) {
    this.#folder = folder
    this.#header = header
    this.#data = data
    this.#rows = new ParquetRows(data, columns)
  }

  static async create(folder: string, header: readonly string[], columns: readonly Column[]): Promise<DatasetFiles> {
    await mkdir(folder, { recursive: true })
    return new DatasetFiles(folder, header, await HashedFile.create(folder, DATA), columns)
  }

  get rows(): ParquetRows {
    return this.#rows
  }

  async reject({ line, reason, fields }: Rejected): Promise<void> {
    if (this.#rejects === null) {
      this.#rejects = await HashedFile.create(this.#folder, REJECTS)
      await this.#rejects.write(csvLine(['line', 'reason', ...this.#header]))
    }
    this.#rejected += 1
    await this.#rejects.write(csvLine([String(line), reason, ...fields]))
  }

  /**
   * @param content the manifest, given the files it is to name
   * @throws RescoreError DATASET_FOLDER when another data set lies in the folder
   */
  async publish(content: (files: readonly FileEntry[]) => ManifestContent): Promise<Manifest> {
    const files = [await this.#rows.finish()]
    if (this.#rejects !== null) files.push(await this.#rejects.finish(this.#rejected))
    const manifest = sealed(content(files))
    await this.#assertFree(manifest)
    const written = await HashedFile.create(this.#folder, MANIFEST)
    this.#manifest = written
    await written.write(Buffer.from(manifestText(manifest)))
    await written.finish(0)
    if (this.#rejects === null) await rm(join(this.#folder, REJECTS), { force: true })
    await this.#data.publish()
    await this.#rejects?.publish()
    await written.publish()
    const folder = await open(this.#folder)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
    return manifest
  }

  async #assertFree({ sha256 }: Manifest): Promise<void> {
    const there = await readText(join(this.#folder, MANIFEST))
    if (there === null || readManifest(there)?.manifest.sha256 === sha256) return
    throw refuse(
      'DATASET_FOLDER',
      `In ${this.#folder} lies another data set.`,
      'Give another folder or name; a data set is never written over.',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of [this.#data, this.#rejects, this.#manifest]) await file?.discard()
  }
}
