/** Data sets of the shops that tests score: made of a past written row by row, and read back. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDataset, type DatasetRequest } from '../../src/dataset/create.ts'
import { type ReadRow, readParquet } from '../../src/dataset/parquet.ts'
import type { Access, S3Settings } from '../../src/dataset/place.ts'
import { openPlace } from '../../src/dataset/places.ts'
import type { DatasetEntry } from '../../src/dataset/registry.ts'
import type { EntityNode } from '../../src/graph/graph.ts'
import { type PastRow, writePast } from './past.ts'
import { createTestDatabase, type TestDatabase } from './pg.ts'
import { graph } from './score-setting.ts'

export const temporaryFolder = () => mkdtemp(join(tmpdir(), 'rescore-dataset-'))

function shop(): EntityNode {
  const node = graph.entities.get('shop')
  if (node === undefined) throw new Error('There is no shop.')
  return node
}

/** A database in which the shop's features are deployed, and this is what was written of them. */
export async function deployed(label: string, past: readonly PastRow[]): Promise<TestDatabase> {
  const database = await createTestDatabase(label)
  await database.query(
    `insert into rescore.definition (entity, feature, version, hash, changed_in_epoch)
     select 'shop', unnest($1::text[]), 3, 'h', 1`,
    [shop().features.map(({ feature }) => feature.name)],
  )
  await writePast(database, 'shop', past)
  return database
}

export interface Asked {
  readonly name: string
  readonly list: string | Buffer
  readonly features?: readonly string[]
}

/** Of the list that lies in `folder` under the name of the data set. */
export function requestFor(
  folder: string,
  { name, features }: Pick<Asked, 'name' | 'features'>,
  to: string,
  s3: S3Settings | null = null,
): DatasetRequest {
  const nodes = shop().features.filter(({ feature }) => features?.includes(feature.name) ?? true)
  return { name, node: shop(), features: nodes, file: join(folder, `${name}.csv`), key: 'shop', at: 'seen', to, s3 }
}

/** The list in `folder`, the data set in `to`: keys stand in 'shop', times in 'seen'. */
export async function makeIn(
  { pool }: TestDatabase,
  folder: string,
  asked: Asked,
  to = folder,
  until: AbortSignal = new AbortController().signal,
  s3: S3Settings | null = null,
) {
  const request = requestFor(folder, asked, to, s3)
  await writeFile(request.file, asked.list)
  return await createDataset(pool, request, { ...quiet, signal: until })
}

/** Nobody waits and nobody listens. */
export const quiet: Access = { signal: new AbortController().signal, say: () => undefined }

export async function rowsIn({ folder, s3 }: Pick<DatasetEntry, 'folder' | 's3'>): Promise<readonly ReadRow[]> {
  await using place = await openPlace(folder, s3, quiet)
  await using file = await place.open('data.parquet')
  if (file === null) throw new Error(`There is no data.parquet in ${folder}.`)
  const rows: ReadRow[] = []
  for await (const group of readParquet(file)) rows.push(...group)
  return rows
}
