/** Definitions in several releases: a feature of any version and type, its reader, a sum over related rows. */
import {
  type AnyFeature,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  type FeatureType,
  type FeatureValue,
  integer,
  text,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { TestDatabase } from '../support/pg.ts'
import { openHarness } from './harness.ts'

export const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: text().notNull(), n: integer() },
})
export const deals = defineTable({
  name: 'app.deals',
  key: 'id',
  columns: { id: integer().notNull(), company_id: text(), n: integer() },
})
const company = defineEntity({ name: 'company', table: companies })
const sales = company.many(deals, { foreignKey: 'company_id' })

export function size(version: number, factor: number, type: FeatureType = 'integer'): AnyFeature {
  const defined = defineFeature({
    entity: company,
    name: 'size',
    version,
    type: 'integer',
    description: 'n, times something',
    inputs: { n: company.columns.n },
    compute: () => null,
  })
  const compute = ({ n }: Readonly<Record<string, unknown>>): FeatureValue =>
    type === 'text' ? `${Number(n) * factor}` : Number(n) * factor
  return { ...defined, type, compute }
}

export function readerOf(input: AnyFeature): AnyFeature {
  const defined = defineFeature({
    entity: company,
    name: 'reader',
    version: 1,
    type: 'text',
    description: 'Shows what it reads',
    inputs: {},
    compute: () => null,
  })
  return { ...defined, inputs: { input }, compute: ({ input: value }) => `<${value}>` }
}

export const dealSum = defineFeature({
  entity: company,
  name: 'deal_sum',
  version: 1,
  type: 'integer',
  description: 'Sum over deals',
  inputs: { sum: sales.sum('n') },
  compute: ({ sum }) => sum,
})

export const graphOf = (...features: AnyFeature[]) => compileGraph(defineConfig({ features }))
export const open = (db: TestDatabase, ...features: AnyFeature[]) =>
  openHarness(db, graphOf(...features), { tables: [companies, deals] })

export async function epochs(db: TestDatabase) {
  const { rows } = await db.query<{ feature: string; changed_in_epoch: number }>(
    'select feature, changed_in_epoch from rescore.definition order by feature',
  )
  return Object.fromEntries(rows.map((row) => [row.feature, row.changed_in_epoch]))
}
