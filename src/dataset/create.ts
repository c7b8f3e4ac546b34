/**
 * Makes a data set: a list of entities and times, joined to what was known of each then.
 * Invariants: nothing valid or recorded after its row's time is in it; the same request gives the same bytes, because rows
 * whose time is not safely past are rejected and the history before is never written again; memory holds one piece of the
 * list and one row group. Stopped or killed anywhere, it leaves no data set (see files.ts).
 */
import { resolve } from 'node:path'
import { formatLsn } from '../db/lsn.ts'
import type { Client, Pool, Queryable } from '../db/pool.ts'
import type { EntityNode, FeatureNode } from '../graph/graph.ts'
import { formatInstant } from '../history/instant.ts'
import { readHorizon } from '../history/read.ts'
import { refuse } from './errors.ts'
import { DatasetFiles } from './files.ts'
import { Join, joinAll } from './join.ts'
import { LabelFile, labelOf } from './labels.ts'
import { layoutOf } from './layout.ts'
import type { ManifestContent } from './manifest.ts'
import type { Access, Place, S3Settings } from './place.ts'
import { openPlace, placeUnder } from './places.ts'
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
  /** Folder, or `s3://bucket/prefix`, in which the folder of the data set is made, under its name. */
  readonly to: string
  /** How to reach the bucket; null for a local folder. */
  readonly s3: S3Settings | null
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

interface Connections {
  readonly pool: Pool
  /** The one that holds the name. */
  readonly session: Client
}

async function write({ pool, session }: Connections, request: DatasetRequest, place: Place, signal: AbortSignal) {
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
    await using files = await DatasetFiles.create(place, header, layout.columns)
    const join = new Join(pool, request, layout, files)
    const accept = (fields: readonly string[]) => labelOf(fields, layout.labels, layout.kind, horizon)
    const rows = await joinAll(records, { session, entity: node.entity.name, join, files, accept }, signal)
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

/** @throws RescoreError DATASET_EXISTS, DATASET_NOT_DEPLOYED, DATASET_ENTITIES, DATASET_FOLDER, DATASET_UNSEEN, DATASET_S3_… */
export async function createDataset(pool: Pool, request: DatasetRequest, access: Access): Promise<DatasetEntry> {
  const { name, file, key, at } = request
  return await withNewName(pool, name, async (client) => {
    await using place = await openPlace(placeUnder(request.to, name), request.s3, access)
    try {
      const manifest = await write({ pool, session: client }, request, place, access.signal)
      const features = request.features.map(({ feature }) => feature.name)
      const asked = { file: resolve(file), key, at, features }
      return await registerDataset(client, { name, request: asked, manifest, folder: place.folder, s3: place.s3 })
    } catch (error) {
      throw place.explained(error)
    }
  })
}
