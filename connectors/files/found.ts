/**
 * Files as they are found: which there are, and what tells one from another.
 *
 * Invariant: a file is known by its place on the disk and its first bytes: a file that was replaced under the same name is
 * another, even where the disk gave it the old one's number; a file that was renamed is the same.
 */
import { createHash } from 'node:crypto'
import { glob, open } from 'node:fs/promises'
import { resolve } from 'node:path'

const HEAD_BYTES = 1_024

export interface FoundFile {
  readonly path: string
  /** Device and number on it. */
  readonly id: string
  readonly size: number
  readonly mtimeMs: number
}

/** Sorted by path; a file that is gone again is not among them. */
export async function findFiles(pattern: string, signal: AbortSignal): Promise<readonly FoundFile[]> {
  const found: FoundFile[] = []
  for await (const path of glob(pattern)) {
    signal.throwIfAborted()
    const file = await lookAt(resolve(path))
    if (file !== null) found.push(file)
  }
  return found.sort((left, right) => (left.path < right.path ? -1 : 1))
}

/** null: there is no such file. */
export async function lookAt(path: string): Promise<FoundFile | null> {
  try {
    await using file = await open(path)
    const stats = await file.stat()
    if (!stats.isFile()) return null
    return { path, id: `${stats.dev}:${stats.ino}`, size: stats.size, mtimeMs: Math.trunc(stats.mtimeMs) }
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'EISDIR')) return null
    throw error
  }
}

/** Of the first `most` bytes, or of as many as there are up to a kilobyte. */
export async function headOf(
  path: string,
  most = HEAD_BYTES,
): Promise<{ readonly hash: string; readonly bytes: number }> {
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(
    Buffer.alloc(Math.min(most, HEAD_BYTES)),
    0,
    Math.min(most, HEAD_BYTES),
    0,
  )
  return { hash: digest(buffer.subarray(0, bytesRead)), bytes: bytesRead }
}

const digest = (text: string | Buffer) => createHash('sha256').update(text).digest('base64url').slice(0, 22)

/** Another one as soon as the file is another or has changed. */
export const stampOf = ({ path, id, size, mtimeMs }: FoundFile): string =>
  digest(JSON.stringify([path, id, size, mtimeMs]))

/** Of all of them together. */
export const stampOfAll = (files: readonly FoundFile[]): string => digest(files.map(stampOf).join())
