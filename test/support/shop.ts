/**
 * A small project for tests: accounts with visits, features of every type, the model `pair`.
 * One account cannot be computed; one feature has a tolerance and one that reads it has none.
 */
import {
  bigint,
  boolean,
  defineConfig,
  defineEntity,
  defineFeature,
  defineModel,
  defineTable,
  number,
  text,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { TestDatabase } from './pg.ts'

const accounts = defineTable({
  name: 'shop.account',
  key: 'id',
  columns: { id: bigint().notNull(), name: text(), is_partner: boolean() },
})
const orders = defineTable({
  name: 'shop.visit',
  key: 'id',
  columns: { id: bigint().notNull(), account_id: bigint(), amount: number() },
})
const account = defineEntity({ name: 'account', table: accounts })
const made = account.many(orders, { foreignKey: 'account_id' })
const common = { entity: account, version: 1, description: '' }

const amount = defineFeature({
  ...common,
  name: 'amount',
  type: 'number',
  inputs: { amount: made.sum('amount') },
  compute: (inputs) => inputs.amount,
})
const visits = defineFeature({
  ...common,
  name: 'visits',
  type: 'integer',
  inputs: { visits: made.count() },
  compute: (inputs) => inputs.visits,
})
const isPartner = defineFeature({
  ...common,
  name: 'is_partner',
  type: 'boolean',
  inputs: { partner: account.columns.is_partner },
  compute: ({ partner }) => partner === true,
})
const mean = defineFeature({
  ...common,
  name: 'mean',
  type: 'number',
  inputs: { amount, visits },
  equal: { rel: 1e-12 },
  compute: (inputs) => (inputs.amount === null || !inputs.visits ? null : inputs.amount / inputs.visits),
})
/** Exact, of an input with a tolerance: its value belongs to the stored input, not to the one from scratch. */
const meanText = defineFeature({
  ...common,
  name: 'mean_text',
  type: 'text',
  inputs: { mean },
  compute: (inputs) => String(inputs.mean),
})
const initial = defineFeature({
  ...common,
  name: 'initial',
  type: 'text',
  inputs: { name: account.columns.name },
  compute: ({ name }) => {
    if (name === 'broken') throw new Error('no such name')
    return name?.slice(0, 1) ?? null
  },
})
export const pair = defineModel({
  name: 'pair',
  entity: account,
  features: [amount, visits, isPartner],
  folder: new URL('./models/pair/', import.meta.url),
  description: '',
})
const config = defineConfig({ features: [amount, visits, isPartner, mean, meanText, initial], models: [pair] })
export const graph = compileGraph(config)

/** More than one piece of keys; the last cannot be computed. */
export const COUNT = 620
export const BROKEN = String(COUNT)

export async function fillShop({ query }: Pick<TestDatabase, 'query'>): Promise<void> {
  await query(`create schema shop;
    create table shop.account (id bigint primary key, name text, is_partner boolean);
    create table shop.visit (id bigint primary key, account_id bigint, amount numeric);
    create index on shop.visit (account_id);
    insert into shop.account
      select i, case when i = ${COUNT} then 'broken' when i % 7 > 0 then 'name ' || i end, i % 3 = 0
      from generate_series(1, ${COUNT}) i;
    insert into shop.visit select i * 10 + j, i, i * 0.37 + j * 0.1 from generate_series(1, ${COUNT}) i, generate_series(1, i % 4) j`)
}
