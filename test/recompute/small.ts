/** Two small tables, and features that may break the rules, for tests of single behaviours. */
import {
  type AnyFeature,
  type AnyInput,
  bigint,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  type Equality,
  type Expectation,
  type FeatureType,
  type FeatureValue,
  integer,
  number,
  text,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'

import type { TestDatabase } from '../support/pg.ts'
import { type Harness, openHarness } from './harness.ts'

const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: bigint().notNull(), n: number(), word: text() },
})
const deals = defineTable({
  name: 'app.deals',
  key: 'id',
  columns: { id: integer().notNull(), company_id: bigint(), n: integer() },
})
export const company = defineEntity({ name: 'company', table: companies })
export const sales = company.many(deals, { foreignKey: 'company_id' })

interface Options {
  readonly type?: FeatureType
  readonly version?: number
  readonly equal?: Equality
  readonly expect?: Expectation
}

/** Unlike defineFeature it takes computes that break the rules. */
export function feature(
  name: string,
  inputs: Readonly<Record<string, AnyInput>>,
  compute: (inputs: Readonly<Record<string, unknown>>) => unknown,
  { type = 'number', version = 1, equal = 'exact', expect }: Options = {},
): AnyFeature {
  const defined = defineFeature({
    entity: company,
    name,
    version,
    type,
    description: name,
    inputs,
    equal,
    compute: () => null,
  })
  return { ...defined, expect: expect ?? null, compute: (given) => compute(given) as FeatureValue }
}

export const size = (options?: Options) => feature('size', { n: company.columns.n }, ({ n }) => n, options)
export const dealSum = feature('deal_sum', { sum: sales.sum('n') }, ({ sum }) => sum, { type: 'integer' })

export const open = (
  db: TestDatabase,
  features: readonly AnyFeature[],
  options: { strict?: boolean } = {},
): Promise<Harness> =>
  openHarness(db, compileGraph(defineConfig({ features })), { tables: [companies, deals], ...options })
