/**
 * The data sets that were made.
 * Invariant: a row is written once the manifest is in its folder, so what is listed is whole. A crash between the two leaves
 * a folder that nobody lists; the same request again takes it over, since its bytes are the same.
 */

import { DATASET_LOCK_CLASS } from '../db/locks.ts'
import type { Client, Pool, Queryable } from '../db/pool.ts'
import { refuse } from './errors.ts'
import type { Manifest } from './manifest.ts'
import type { S3Settings } from './place.ts'

/** As it was asked for. */
export interface AskedFor {
  readonly file: string
  readonly key: string
  readonly at: string
  readonly features: readonly string[]
}

export interface DatasetEntry {
  readonly name: string
  readonly entity: string
  readonly request: AskedFor
  /** Without the keys of unknown entities, which are in the folder alone. */
  readonly manifest: Manifest
  readonly sha256: string
  /** A path, or `s3://…`. */
  readonly folder: string
  /** How the bucket was reached; null for a local folder. */
  readonly s3: S3Settings | null
  readonly createdAt: string
}

const COLUMNS = 'name, entity, request, manifest, sha256, folder, s3, created_at::text as "createdAt"'

export async function listDatasets(db: Queryable): Promise<readonly DatasetEntry[]> {
  const { rows } = await db.query<DatasetEntry>(`select ${COLUMNS} from rescore.dataset order by created_at, name`)
  return rows
}

/** What an erasure of a record of these entities does not reach, a sentence each. */
export async function datasetsNotErased(db: Queryable, entities: readonly string[]): Promise<readonly string[]> {
  const { rows } = await db.query<{ name: string; folder: string }>(
    'select name, folder from rescore.dataset where entity = any($1) order by name',
    [entities],
  )
  return rows.map(
    ({ name, folder }) =>
      `Data set '${name}' in ${folder}: it may hold the record as it was known. Make it anew under another name, and delete the folder.`,
  )
}

/** @throws RescoreError DATASET_UNKNOWN */
export async function readDataset(db: Queryable, name: string): Promise<DatasetEntry> {
  const { rows } = await db.query<DatasetEntry>(`select ${COLUMNS} from rescore.dataset where name = $1`, [name])
  const [found] = rows
  if (found === undefined) {
    throw refuse('DATASET_UNKNOWN', `There is no data set '${name}'.`, 'See what there is: rescore dataset list.')
  }
  return found
}

export async function registerDataset(
  db: Queryable,
  entry: Pick<DatasetEntry, 'name' | 'request' | 'manifest' | 'folder' | 's3'>,
): Promise<DatasetEntry> {
  const { name, request, manifest, folder, s3 } = entry
  // An erasure reaches the database, not folders: no list of keys is kept here.
  const kept: Manifest = { ...manifest, unknown: { keys: [], isWhole: manifest.rows.unknown === 0 } }
  await db.query(
    `insert into rescore.dataset (name, entity, request, manifest, sha256, folder, s3)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      name,
      manifest.entity,
      JSON.stringify(request),
      JSON.stringify(kept),
      manifest.sha256,
      folder,
      s3 && JSON.stringify(s3),
    ],
  )
  return await readDataset(db, name)
}

/**
 * While `work` runs no other process makes a data set of this name; it ends with the connection.
 * @throws RescoreError DATASET_EXISTS when there is one, or it is being made
 */
export async function withNewName<T>(pool: Pool, name: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  let isBroken = true
  try {
    const { rows } = await client.query<{ taken: boolean; there: boolean }>(
      `select pg_try_advisory_lock($1, hashtext($2)) as taken, exists (select from rescore.dataset where name = $2) as there`,
      [DATASET_LOCK_CLASS, name],
    )
    const { taken = false, there = false } = rows[0] ?? {}
    if (taken && !there) return await work(client)
    throw refuse(
      'DATASET_EXISTS',
      there ? `There is a data set '${name}' already.` : `The data set '${name}' is being made by another process.`,
      'Give another name; a data set is never changed.',
    )
  } finally {
    isBroken = await client.query('select pg_advisory_unlock_all()').then(
      () => false,
      () => true,
    )
    // Closed, a connection gives back its locks as well.
    client.release(isBroken)
  }
}
