/**
 * The files of a data set on their way: data, rejects, manifest.
 * Invariant: all are whole in their place before the first takes its name, and the manifest takes its name last: a place
 * with a manifest is whole. What fails before leaves nothing; what a crash leaves is taken over by the next try.
 */
import { lyingThere } from './errors.ts'
import { type FileEntry, HashedFile } from './hashed-file.ts'
import type { Rejected } from './labels.ts'
import { type Manifest, type ManifestContent, manifestText, readManifest, sealed } from './manifest.ts'
import { type Column, ParquetRows } from './parquet.ts'
import { type Place, readText } from './place.ts'

export const MANIFEST = 'manifest.json'
const DATA = 'data.parquet'
const REJECTS = 'rejects.csv'

const quoted = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)
const csvLine = (fields: readonly string[]) => Buffer.from(`${fields.map(quoted).join(',')}\n`)

export class DatasetFiles implements AsyncDisposable {
  readonly #place: Place
  readonly #header: readonly string[]
  readonly #data: HashedFile
  readonly #rows: ParquetRows
  #rejects: HashedFile | null = null
  #manifest: HashedFile | null = null
  #rejected = 0

  private constructor(place: Place, header: readonly string[], data: HashedFile, columns: readonly Column[]) {
    this.#place = place
    this.#header = header
    this.#data = data
    this.#rows = new ParquetRows(data, columns)
  }

  static async create(place: Place, header: readonly string[], columns: readonly Column[]): Promise<DatasetFiles> {
    return new DatasetFiles(place, header, await HashedFile.create(place, DATA), columns)
  }

  get rows(): ParquetRows {
    return this.#rows
  }

  async reject({ line, reason, fields }: Rejected): Promise<void> {
    if (this.#rejects === null) {
      this.#rejects = await HashedFile.create(this.#place, REJECTS)
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
    const standing = await this.#standing(manifest)
    if (this.#rejects === null) await this.#place.remove(REJECTS)
    const written = standing === 'whole' ? null : await this.#written(manifest, standing === 'free')
    await this.#data.publish()
    await this.#rejects?.publish()
    await written?.publish()
    await this.#place.settle()
    return manifest
  }

  async #written(manifest: Manifest, isNew: boolean): Promise<HashedFile> {
    const file = await HashedFile.create(this.#place, MANIFEST, isNew)
    this.#manifest = file
    await file.write(Buffer.from(manifestText(manifest)))
    await file.finish(0)
    return file
  }

  /** `whole`: this very manifest is there, as after a crash before it was listed; `damaged`: it was, and was changed. */
  async #standing({ sha256 }: Manifest): Promise<'free' | 'whole' | 'damaged'> {
    const there = await readText(this.#place, MANIFEST)
    if (there === null) return 'free'
    const read = readManifest(there)
    if (read?.manifest.sha256 === sha256) return read.isSound ? 'whole' : 'damaged'
    throw lyingThere(this.#place.folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of [this.#data, this.#rejects, this.#manifest]) await file?.discard()
  }
}
