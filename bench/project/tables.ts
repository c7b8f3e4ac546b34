/** The tables of the batch recipe as source tables, so far as features read them. */
import { bigint, boolean, defineTable, float, integer, json, number, text, timestamp } from '../../src/define/index.ts'

export const companies = defineTable({
  name: 'public.companies',
  columns: {
    id: bigint().notNull(),
    website: text(),
    team_size: integer(),
    industry: text(),
    region: text(),
    batch_year: float(),
    stage: text(),
    is_hiring: boolean(),
    nonprofit: boolean(),
    tags: json(),
    regions: json(),
    one_liner: text(),
    long_description: text(),
  },
  key: 'id',
})

export const contacts = defineTable({
  name: 'public.contacts',
  columns: {
    id: bigint().notNull(),
    company_id: bigint().notNull(),
    seniority: integer(),
    last_activity_at: timestamp(),
  },
  key: 'id',
})

export const deals = defineTable({
  name: 'public.deals',
  columns: {
    id: bigint().notNull(),
    company_id: bigint().notNull(),
    amount: number(),
    stage: text(),
    created_at: timestamp(),
  },
  key: 'id',
})
