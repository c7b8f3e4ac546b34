/** A data set, made in a process of its own, so that its memory is its own: every feature of a company, for each row of a list. */
import * as features from '../../features/company.ts'
import { createDataset } from '../../src/dataset/create.ts'
import { createPool } from '../../src/db/pool.ts'
import { defineConfig } from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { memoryOfSelf } from '../memory-of.ts'
import type { DatasetOrder, DatasetResult } from './messages.ts'
import { onOrder, tell } from './process.ts'

async function make({ url, file, to, name }: DatasetOrder): Promise<DatasetResult> {
  const node = compileGraph(defineConfig({ features: [features], models: [] })).entities.get('company')
  if (node === undefined) throw new TypeError('The features are those of companies.')
  const pool = createPool({ url, applicationName: 'rescore bench dataset', max: 3 })
  const before = process.cpuUsage()
  const startedMs = performance.now()
  const request = { name, node, features: node.features, file, key: 'id', at: 'seen', to, s3: null }
  const { signal } = new AbortController()
  const { manifest } = await createDataset(pool, request, { signal, say: () => undefined })
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(before)
  await pool.end()
  return {
    ...(await memoryOfSelf()),
    rows: manifest.rows.served,
    features: node.features.length,
    unknown: manifest.rows.unknown,
    ms,
    cpuSeconds: (user + system) / 1e6,
    bytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

onOrder<DatasetOrder>(async (order) => {
  tell(await make(order))
  process.disconnect()
})
