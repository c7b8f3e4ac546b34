/**
 * A file that is written under another name, hashed as it grows, and takes its own name when it is whole.
 * Invariant: nothing under the final name is ever half written. A crash leaves `<name>.partial`, which the next try writes over.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

export interface FileEntry {
  readonly name: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}

export class HashedFile {
  readonly name: string
  readonly #folder: string
  readonly #handle: FileHandle
  readonly #hash = createHash('sha256')
  #bytes = 0

  private constructor(folder: string, name: string, handle: FileHandle) {
    this.#folder = folder
    this.name = name
    this.#handle = handle
  }

  static async create(folder: string, name: string): Promise<HashedFile> {
    return new HashedFile(folder, name, await open(join(folder, `${name}.partial`), 'w'))
  }

  async write(data: Uint8Array): Promise<void> {
    this.#hash.update(data)
    this.#bytes += data.byteLength
    await this.#handle.writeFile(data)
  }

  /** On the disk, still under its other name. */
  async finish(rows: number): Promise<FileEntry> {
    await this.#handle.sync()
    await this.#handle.close()
    return { name: this.name, rows, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }

  async publish(): Promise<void> {
    await rename(join(this.#folder, `${this.name}.partial`), join(this.#folder, this.name))
  }

  /** Closes and removes what was not published; may be called whatever has become of it. */
  async discard(): Promise<void> {
    await this.#handle.close()
    await rm(join(this.#folder, `${this.name}.partial`), { force: true })
  }
}
