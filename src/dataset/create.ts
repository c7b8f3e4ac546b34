/**
 * Makes a data set: a list of entities and times, joined to what was known of each then.
 * Invariants: nothing valid or recorded after its row's time is in it; the same request gives the same bytes, because rows
 * whose time is not safely past are rejected and the history before is never written again; memory holds one piece of the
 * list and one row group. Stopped or killed anywhere, it leaves no data set (see files.ts).
 */
import { resolve } from 'node:path'
import { formatLsn } from '../db/lsn.ts'
import type { Pool, Queryable } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { formatInstant } from '../history/instant.ts'
import { readHorizon } from '../history/read.ts'
import { aboutFolder, refuse } from './errors.ts'
import { DatasetFiles } from './files.ts'
import { Join, joinAll } from './join.ts'
import { LabelFile, labelOf } from './labels.ts'
import { layoutOf } from './layout.ts'
import type { ManifestContent } from './manifest.ts'
import { type DatasetEntry, registerDataset, withNewName } from './registry.ts'

export interface DatasetRequest {
  readonly name: string
  readonly node: EntityNode
  /** In the order of the columns. */
  readonly features: readonly FeatureNode[]
  /** CSV file of entities and times. */
  readonly file: string
  /** Column of the key, and of the time. */
  readonly key: string
  readonly at: string
  /** Folder in which the folder of the data set is made, under its name. */
  readonly to: string
}

async function deployedFeatures(
  db: Queryable,
  { node, features }: DatasetRequest,
): Promise<ManifestContent['features']> {
  const { rows } = await db.query<{ feature: string; version: number; hash: string }>(
    'select feature, version, hash from rescore.definition where entity = $1',
    [node.entity.name],
  )
  const deployed = new Map(rows.map((row) => [row.feature, row]))
  return features.map(({ feature: { name, type } }) => {
    const found = deployed.get(name)
    if (found !== undefined) return { name, type, version: found.version, hash: found.hash }
    throw refuse(
      'DATASET_NOT_DEPLOYED',
      `Feature '${name}' is not deployed, so it has no past.`,
      'Start the service with it first, or leave it out: rescore features.',
    )
  })
}

async function write(pool: Pool, request: DatasetRequest, folder: string, signal: AbortSignal) {
  const { node, key, at } = request
  const features = await deployedFeatures(pool, request)
  const horizon = await readHorizon(pool, signal)
  const file = new LabelFile(request.file)
  const records = file.records()
  // Taken by hand: leaving a for-await would end the generator.
  const first = await records.next()
  const header = first.done === true ? [] : first.value.fields
  try {
    const layout = layoutOf(request, header)
    await using files = await DatasetFiles.create(folder, header, layout.columns)
    const join = new Join(pool, request, layout, files)
    const accept = (fields: readonly string[]) => labelOf(fields, layout.labels, layout.kind, horizon)
    const rows = await joinAll(records, { join, files, accept }, signal)
    const newest = join.newest
    return await files.publish((written) => ({
      format: 1,
      entity: node.entity.name,
      request: { entities: { sha256: file.sha256(), rows }, key, at, features: features.map(({ name }) => name) },
      features,
      columns: layout.columns.map(({ name, type }) => ({ name, type })),
      rows: join.counts,
      unknown: join.unknown,
      newest: newest && { recordedAt: formatInstant(newest.recordedAt), snapLsn: formatLsn(newest.snapLsn) },
      files: [...written],
    }))
  } finally {
    await records.return(undefined)
  }
}

/** @throws RescoreError DATASET_EXISTS, DATASET_NOT_DEPLOYED, DATASET_ENTITIES, DATASET_FOLDER, DATASET_UNSEEN */
export async function createDataset(pool: Pool, request: DatasetRequest, signal: AbortSignal): Promise<DatasetEntry> {
  const folder = resolve(request.to, request.name)
  return await withNewName(pool, request.name, async (client) => {
    try {
      const manifest = await write(pool, request, folder, signal)
      const { file, key, at } = request
      const features = request.features.map(({ feature }) => feature.name)
      return await registerDataset(client, {
        name: request.name,
        request: { file: resolve(file), key, at, features },
        manifest,
        folder,
      })
    } catch (error) {
      throw aboutFolder(folder, error)
    }
  })
}
