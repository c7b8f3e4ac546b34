/**
 * Whether a data set still is what was made.
 * Invariant: everything is hashed anew from the folder, up to the hash that the registry keeps; nothing is believed.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { Queryable } from '../db/pool.ts'
import { MANIFEST, readText } from './files.ts'
import { type Manifest, readManifest } from './manifest.ts'
import { readDataset } from './registry.ts'

export interface Verified {
  readonly name: string
  readonly folder: string
  /** What is wrong, a sentence each; empty: all is as it was made. */
  readonly problems: readonly string[]
}

/** @returns null when the file is not there */
async function hashFile(path: string): Promise<{ readonly bytes: number; readonly sha256: string } | null> {
  const hash = createHash('sha256')
  let size = 0
  try {
    for await (const chunk of createReadStream(path)) {
      const bytes: Buffer = chunk
      hash.update(bytes)
      size += bytes.byteLength
    }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
  return { bytes: size, sha256: hash.digest('hex') }
}

async function filesOf({ files }: Manifest, folder: string): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { name, bytes, sha256 } of files) {
    const found = await hashFile(join(folder, name))
    if (found === null) problems.push(`${name} is not there`)
    else if (found.bytes !== bytes) problems.push(`${name} has ${found.bytes} bytes, was made with ${bytes}`)
    else if (found.sha256 !== sha256) problems.push(`${name} has other content than it was made with`)
  }
  return problems
}

/** @throws RescoreError DATASET_UNKNOWN */
export async function verifyDataset(db: Queryable, name: string): Promise<Verified> {
  const { folder, sha256 } = await readDataset(db, name)
  const text = await readText(join(folder, MANIFEST))
  if (text === null) return { name, folder, problems: [`${MANIFEST} is not there`] }
  const read = readManifest(text)
  if (read === null) return { name, folder, problems: [`${MANIFEST} is no manifest`] }
  const problems: string[] = []
  if (!read.isSound) problems.push(`${MANIFEST} has other content than its hash says`)
  if (read.manifest.sha256 !== sha256) problems.push(`${MANIFEST} is of another data set than was made under this name`)
  return { name, folder, problems: [...problems, ...(await filesOf(read.manifest, folder))] }
}
