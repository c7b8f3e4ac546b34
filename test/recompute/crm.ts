/** A small CRM with every kind of column, key and path, and features that show each input as it arrives. */
import {
  type AggregateInput,
  type AnyFeature,
  type AnyInput,
  bigint,
  boolean,
  type ColumnInput,
  date,
  decimal,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  type FeatureValue,
  float,
  integer,
  json,
  number,
  text,
  timestamp,
  uuid,
} from '../../src/define/index.ts'
import { compileGraph } from '../../src/graph/compile.ts'

const measures = {
  n: integer(),
  big: bigint(),
  num: number(),
  dec: decimal(),
  flo: float(),
  yes: boolean(),
  word: text(),
  day: date(),
  at: timestamp(),
  uid: uuid(),
}

export const companies = defineTable({
  name: 'app.companies',
  key: 'id',
  columns: { id: bigint().notNull(), ...measures, meta: json() },
})
export const deals = defineTable({
  name: 'app.deals',
  key: 'id',
  columns: { id: integer().notNull(), company_id: bigint(), ...measures },
})
export const lines = defineTable({
  name: 'app.lines',
  key: ['deal_id', 'item'],
  columns: { deal_id: integer().notNull(), item: text().notNull(), n: integer(), at: timestamp() },
})
export const contacts = defineTable({
  name: 'app.contacts',
  key: 'id',
  columns: { id: text().notNull(), word: text(), n: integer() },
})
export const companyContacts = defineTable({
  name: 'app.company_contacts',
  key: ['company_id', 'contact_id', 'label'],
  columns: { company_id: bigint().notNull(), contact_id: text().notNull(), label: text().notNull() },
})
export const dealContacts = defineTable({
  name: 'app.deal_contacts',
  key: ['deal_id', 'contact_id'],
  columns: { deal_id: integer().notNull(), contact_id: text().notNull(), n: integer() },
})
export const notes = defineTable({
  name: 'app.notes',
  key: 'id',
  columns: { id: integer().notNull(), contact_id: text(), n: integer() },
})

export const tables = [companies, deals, lines, contacts, companyContacts, dealContacts, notes]

export const company = defineEntity({ name: 'company', table: companies })
const sales = company.many(deals, { foreignKey: 'company_id' })
const items = sales.many(lines, { foreignKey: 'deal_id' })
const people = company.many(contacts, { through: companyContacts, from: 'company_id', to: 'contact_id' })
const bosses = company.many(contacts, {
  through: companyContacts,
  from: 'company_id',
  to: 'contact_id',
  throughWhere: { label: { in: ['boss', 'owner'] } },
})
const peopleNotes = people.many(notes, { foreignKey: 'contact_id' })
const buyers = sales.many(contacts, {
  through: dealContacts,
  from: 'deal_id',
  to: 'contact_id',
  throughWhere: { n: { gte: 1 } },
})

/** What arrived, told apart by type: '1' (text) is not 1 (number) is not 1n (bigint). */
export function show(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? `${each}n` : each))
}

/** A feature that shows one input. */
function shown(name: string, input: AnyInput): AnyFeature {
  return defineFeature({
    entity: company,
    name,
    version: 1,
    type: 'text',
    description: name,
    inputs: { input: input as ColumnInput<unknown> | AggregateInput<unknown> },
    compute: ({ input: value }) => show(value),
  })
}

const columns = Object.keys(companies.columns).map((column) =>
  shown(`own_${column}`, { input: 'column', table: companies, column }),
)

const aggregates: Readonly<Record<string, AnyInput>> = {
  deals_count: sales.count(),
  deals_yes: sales.count({ where: { yes: true } }),
  deals_not_yes: sales.count({ where: { yes: { not: true } } }),
  deals_word_in: sales.count({ where: { word: { in: ['a', 'É'] } } }),
  deals_word_not_in: sales.count({ where: { word: { notIn: ['a', "o'b"] } } }),
  deals_word_null: sales.count({ where: { word: null } }),
  deals_has_word: sales.count({ where: { word: { isNull: false } } }),
  deals_num_range: sales.sum('n', { where: { num: { gt: 0.5, lte: 2 } } }),
  deals_later: sales.max('num', { where: { at: { gte: 1.5 }, day: { lt: '2024-03-01' } } }),
  deals_distinct_word: sales.countDistinct('word'),
  deals_distinct_num: sales.countDistinct('num'),
  deals_sum_n: sales.sum('n'),
  deals_sum_big: sales.sum('big'),
  deals_sum_num: sales.sum('num'),
  deals_sum_flo: sales.sum('flo'),
  deals_sum_flo_yes: sales.sum('flo', { where: { yes: true } }),
  deals_avg_num: sales.avg('num'),
  deals_avg_flo: sales.avg('flo'),
  deals_min_word: sales.min('word'),
  deals_max_word: sales.max('word'),
  deals_min_day: sales.min('day'),
  deals_max_at: sales.max('at'),
  deals_min_big: sales.min('big'),
  deals_max_dec: sales.max('dec'),
  deals_min_uid: sales.min('uid'),
  deals_distinct_uid: sales.countDistinct('uid'),
  deals_uid_in: sales.count({
    where: { uid: { in: ['0B0E7A1C-0000-4000-8000-000000000001', 'ffffffff-0000-4000-8000-00000000000a'] } },
  }),
  deals_latest_uid: sales.latest('uid', { orderBy: 'uid' }),
  deals_min_flo: sales.min('flo'),
  deals_latest_dec: sales.latest('dec', { orderBy: 'at' }),
  deals_latest_big: sales.latest('big', { orderBy: 'word', where: { n: { not: null } } }),
  deals_top: sales.top(2, { columns: ['id', 'word', 'big', 'at', 'yes'], orderBy: 'num' }),
  deals_bottom: sales.top(3, { columns: ['id', 'dec'], orderBy: 'day', order: 'asc' }),
  lines_sum: items.sum('n'),
  lines_latest: items.latest('item', { orderBy: 'at' }),
  people_count: people.count(),
  people_words: people.top(4, { columns: ['id'], orderBy: 'word', order: 'asc' }),
  bosses_sum: bosses.sum('n', { where: { word: { not: 'a' } } }),
  notes_sum: peopleNotes.sum('n'),
  buyers_count: buyers.count(),
  buyers_max: buyers.max('n'),
}

const shownAggregates = Object.entries(aggregates).map(([name, input]) => shown(name, input))

const dealCount = defineFeature({
  entity: company,
  name: 'deal_count',
  version: 1,
  type: 'integer',
  description: 'Read by others',
  inputs: { deals: sales.count() },
  compute: ({ deals }) => deals,
})
const hasDeals = defineFeature({
  entity: company,
  name: 'has_deals',
  version: 1,
  type: 'boolean',
  description: 'Moves seldom: the cut-off',
  inputs: { count: dealCount },
  compute: ({ count }) => (count ?? 0) > 0,
})
const perDeal = defineFeature({
  entity: company,
  name: 'per_deal',
  version: 1,
  type: 'number',
  description: 'A column and two features',
  inputs: { has: hasDeals, count: dealCount, n: company.columns.n },
  compute: ({ has, count, n }): FeatureValue & (number | null) =>
    has !== true || count === null || n === null ? null : n / count,
})

export const features: readonly AnyFeature[] = [...columns, ...shownAggregates, dealCount, hasDeals, perDeal]
export const graph = compileGraph(defineConfig({ features }))
