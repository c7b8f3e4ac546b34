/** A file that is hashed and counted as it grows on its way to its place. */
import { createHash } from 'node:crypto'
import type { Draft, Place } from './place.ts'

export interface FileEntry {
  readonly name: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}

export class HashedFile {
  readonly name: string
  readonly #draft: Draft
  readonly #hash = createHash('sha256')
  #bytes = 0

  private constructor(name: string, draft: Draft) {
    this.name = name
    this.#draft = draft
  }

  static async create(place: Place, name: string, isNew = false): Promise<HashedFile> {
    return new HashedFile(name, await place.draft(name, isNew))
  }

  async write(data: Uint8Array): Promise<void> {
    this.#hash.update(data)
    this.#bytes += data.byteLength
    await this.#draft.write(data)
  }

  /** Whole in its place, but not under its name yet. */
  async finish(rows: number): Promise<FileEntry> {
    await this.#draft.finish()
    return { name: this.name, rows, bytes: this.#bytes, sha256: this.#hash.digest('hex') }
  }

  async publish(): Promise<void> {
    await this.#draft.publish()
  }

  /** Leaves nothing of what was not published; may be called whatever has become of it. */
  async discard(): Promise<void> {
    await this.#draft.discard()
  }
}
