/**
 * Whether a data set still is what was made.
 * Invariant: everything is hashed anew from its place, a piece at a time, up to the hash that the registry keeps; nothing is believed.
 */
import type { Queryable } from '../db/pool.ts'
import { MANIFEST } from './files.ts'
import { type Manifest, readManifest } from './manifest.ts'
import { type Access, hashFile, type Place, readText } from './place.ts'
import { openPlace } from './places.ts'
import { readDataset } from './registry.ts'

export interface Verified {
  readonly name: string
  readonly folder: string
  /** What is wrong, a sentence each; empty: all is as it was made. */
  readonly problems: readonly string[]
}

async function filesOf({ files }: Manifest, place: Place): Promise<readonly string[]> {
  const problems: string[] = []
  for (const { name, bytes, sha256 } of files) {
    const found = await hashFile(place, name)
    if (found === null) problems.push(`${name} is not there`)
    else if (found.bytes !== bytes) problems.push(`${name} has ${found.bytes} bytes, was made with ${bytes}`)
    else if (found.sha256 !== sha256) problems.push(`${name} has other content than it was made with`)
  }
  const known = new Set([MANIFEST, ...files.map(({ name }) => name)])
  const extra = (await place.names()).filter((name) => !known.has(name))
  return [...problems, ...extra.map((name) => `${name} is there, but is no file of the data set`)]
}

async function problemsIn(place: Place, sha256: string): Promise<readonly string[]> {
  const text = await readText(place, MANIFEST)
  if (text === null) return [`${MANIFEST} is not there`]
  const read = readManifest(text)
  if (read === null) return [`${MANIFEST} is no manifest`]
  const problems: string[] = []
  if (!read.isSound) problems.push(`${MANIFEST} has other content than its hash says`)
  if (read.manifest.sha256 !== sha256) problems.push(`${MANIFEST} is of another data set than was made under this name`)
  return [...problems, ...(await filesOf(read.manifest, place))]
}

/** @throws RescoreError DATASET_UNKNOWN, DATASET_FOLDER, DATASET_S3_… */
export async function verifyDataset(db: Queryable, name: string, access: Access): Promise<Verified> {
  const { folder, s3, sha256 } = await readDataset(db, name)
  await using place = await openPlace(folder, s3, access)
  try {
    return { name, folder, problems: await problemsIn(place, sha256) }
  } catch (error) {
    throw place.explained(error)
  }
}
