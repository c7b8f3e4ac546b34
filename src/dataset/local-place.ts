/**
 * A data set in a local folder.
 * Invariant: a file is written as `<name>.partial`, synced, and then renamed: nothing under a final name is ever half
 * written. A crash leaves `.partial` files, which the next try writes over.
 */
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { refuse } from './errors.ts'
import type { Draft, Place, RandomFile } from './place.ts'

const PARTIAL = '.partial'

class LocalDraft implements Draft {
  readonly #path: string
  readonly #handle: FileHandle

  private constructor(path: string, handle: FileHandle) {
    this.#path = path
    this.#handle = handle
  }

  static async create(path: string): Promise<LocalDraft> {
    return new LocalDraft(path, await open(`${path}${PARTIAL}`, 'w'))
  }

  async write(data: Uint8Array): Promise<void> {
    await this.#handle.writeFile(data)
  }

  async finish(): Promise<void> {
    await this.#handle.sync()
    await this.#handle.close()
  }

  async publish(): Promise<void> {
    await rename(`${this.#path}${PARTIAL}`, this.#path)
  }

  async discard(): Promise<void> {
    await this.#handle.close()
    await rm(`${this.#path}${PARTIAL}`, { force: true })
  }
}

class LocalFile implements RandomFile {
  readonly byteLength: number
  readonly #handle: FileHandle

  constructor(handle: FileHandle, byteLength: number) {
    this.#handle = handle
    this.byteLength = byteLength
  }

  async slice(start: number, end = this.byteLength): Promise<ArrayBuffer> {
    const into = new ArrayBuffer(Math.max(0, end - start))
    const bytes = new Uint8Array(into)
    for (let filled = 0; filled < bytes.byteLength; ) {
      const { bytesRead } = await this.#handle.read(bytes, filled, bytes.byteLength - filled, start + filled)
      if (bytesRead === 0) throw new Error(`The file ended at ${start + filled} of ${this.byteLength} bytes.`)
      filled += bytesRead
    }
    return into
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }
}

const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT'

/** By code: a lost connection to the database has a system call as well. */
const MENDS: Readonly<Record<string, string>> = Object.fromEntries([
  ...['ENOSPC', 'EDQUOT', 'EFBIG'].map((code) => [code, 'Make room there or give another folder with --to']),
  ...['EACCES', 'EPERM', 'EROFS'].map((code) => [code, 'Give a folder with --to that this user may write']),
  ...['EEXIST', 'EIO', 'EISDIR', 'EMFILE', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR'].map((code) => [
    code,
    'See that it is a folder and can be used, or give another with --to',
  ]),
])

export class LocalPlace implements Place {
  readonly folder: string
  readonly s3 = null

  /** @param folder absolute path; made when something is written there */
  constructor(folder: string) {
    this.folder = folder
  }

  async draft(name: string): Promise<Draft> {
    try {
      await mkdir(this.folder, { recursive: true })
    } catch (error) {
      if (!isMissing(error)) throw error
      // Node says so of a file system that is read-only as well; asked for one level, it tells which it is.
      await mkdir(this.folder)
    }
    return await LocalDraft.create(join(this.folder, name))
  }

  async open(name: string): Promise<RandomFile | null> {
    let handle: FileHandle
    try {
      handle = await open(join(this.folder, name))
    } catch (error) {
      if (isMissing(error)) return null
      throw error
    }
    try {
      return new LocalFile(handle, (await handle.stat()).size)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async names(): Promise<readonly string[]> {
    try {
      return (await readdir(this.folder)).filter((name) => !name.endsWith(PARTIAL)).toSorted()
    } catch (error) {
      if (isMissing(error)) return []
      throw error
    }
  }

  async remove(name: string): Promise<void> {
    await rm(join(this.folder, name), { force: true })
  }

  async settle(): Promise<void> {
    const folder = await open(this.folder)
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }

  explained(error: unknown): unknown {
    if (!(error instanceof Error && 'code' in error)) return error
    const mend = MENDS[String(error.code)]
    if (mend === undefined) return error
    const message = `The folder ${this.folder} cannot be used: ${error.message}.`
    return refuse('DATASET_FOLDER', message, `${mend}; then the same command. Nothing was listed.`, error)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held between two calls.
  }
}
