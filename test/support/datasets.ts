/** Data sets of the shops that tests score: made of a past written row by row, and read back. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createDataset } from '../../src/dataset/create.ts'
import { type ReadRow, readParquet } from '../../src/dataset/parquet.ts'
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

/** The list in `folder`, the data set in `to`: keys stand in 'shop', times in 'seen'. */
export async function makeIn(
  { pool }: TestDatabase,
  folder: string,
  { name, list, features }: Asked,
  to = folder,
  until: AbortSignal = new AbortController().signal,
) {
  const file = join(folder, `${name}.csv`)
  await writeFile(file, list)
  const nodes = shop().features.filter(({ feature }) => features?.includes(feature.name) ?? true)
  const request = { name, node: shop(), features: nodes, file, key: 'shop', at: 'seen', to }
  return await createDataset(pool, request, until)
}

export async function rowsIn(made: { readonly folder: string }): Promise<readonly ReadRow[]> {
  const rows: ReadRow[] = []
  for await (const group of readParquet(join(made.folder, 'data.parquet'))) rows.push(...group)
  return rows
}
