/**
 * A small project of the user's own tables (schema `app`, no connector) with every kind of path and of column: what the
 * chaos tests run on.
 *
 * | table        | key                       | why it is here                                                       |
 * |--------------|---------------------------|----------------------------------------------------------------------|
 * | company      | bigint                    | the scored entity; a TOASTed text, an exact number, a timestamp      |
 * | contact      | text, awkward characters  | second entity; nullable foreign key to company                       |
 * | event        | bigint                    | child of a child; floats, whose sum depends on the order             |
 * | deal         | bigint                    | far end of an association; a TOASTed text inside a filter            |
 * | company_deal | three columns             | association with a label                                             |
 * | item         | bigint                    | child of an associated row                                           |
 * | note         | text                      | small: truncated now and then                                        |
 */
import {
  bigint,
  boolean,
  date,
  defineEntity,
  defineTable,
  float,
  integer,
  number,
  text,
  timestamp,
} from '../../src/define/index.ts'

export const companies = defineTable({
  name: 'app.company',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    employees: integer(),
    revenue: number(),
    is_partner: boolean(),
    about: text(),
    founded_at: timestamp(),
  },
})

export const contacts = defineTable({
  name: 'app.contact',
  key: 'id',
  columns: {
    id: text().notNull(),
    company_id: bigint(),
    email: text(),
    score: integer(),
    is_active: boolean(),
    seen_at: timestamp(),
  },
})

export const events = defineTable({
  name: 'app.event',
  key: 'id',
  columns: { id: bigint().notNull(), contact_id: text(), kind: text(), weight: float(), happened_at: timestamp() },
})

export const deals = defineTable({
  name: 'app.deal',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    amount: number(),
    stage: text(),
    closed_on: date(),
    terms: text(),
  },
})

export const companyDeals = defineTable({
  name: 'app.company_deal',
  key: ['company_id', 'deal_id', 'label'],
  columns: { company_id: bigint().notNull(), deal_id: bigint().notNull(), label: text().notNull() },
})

export const items = defineTable({
  name: 'app.item',
  key: 'id',
  columns: { id: bigint().notNull(), deal_id: bigint(), quantity: integer() },
})

export const notes = defineTable({
  name: 'app.note',
  key: 'id',
  columns: { id: text().notNull(), company_id: bigint(), stars: integer() },
})

export const company = defineEntity({ name: 'company', table: companies })
export const contact = defineEntity({ name: 'contact', table: contacts })

const association = { through: companyDeals, from: 'company_id', to: 'deal_id' } as const
export const relations = {
  contacts: company.many(contacts, { foreignKey: 'company_id' }),
  events: company.many(contacts, { foreignKey: 'company_id' }).many(events, { foreignKey: 'contact_id' }),
  deals: company.many(deals, association),
  primaryDeals: company.many(deals, { ...association, throughWhere: { label: { in: ['primary'] } } }),
  items: company.many(deals, association).many(items, { foreignKey: 'deal_id' }),
  notes: company.many(notes, { foreignKey: 'company_id' }),
  contactEvents: contact.many(events, { foreignKey: 'contact_id' }),
}
