/**
 * Source tables for HubSpot. A column is named after the HubSpot property it mirrors; declaring a column is how a user
 * picks a property. Three columns are not properties: `id`, `raw` (what did not fit its column: {property: string}), and
 * the keys of associations and histories.
 *
 * A project may pass its own tables with other columns, as long as the key stays `id bigint`.
 */
import { bigint, boolean, defineTable, integer, json, number, text, timestamp } from '../../src/define/index.ts'

export const companies = defineTable({
  name: 'hubspot.companies',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    website: text(),
    domain: text(),
    city: text(),
    country: text(),
    industry: text(),
    description: text(),
    numberofemployees: number(),
    annualrevenue: number(),
    lifecyclestage: text(),
    yc_one_liner: text(),
    yc_subindustry: text(),
    yc_launched_at: timestamp(),
    /** Multi-select: values joined by ';', as HubSpot answers them. */
    yc_tags: text(),
    yc_top_company: boolean(),
    yc_is_hiring: boolean(),
    yc_nonprofit: boolean(),
    yc_batch: text(),
    yc_status: text(),
    yc_regions: text(),
    yc_stage: text(),
    createdate: timestamp(),
    hs_lastmodifieddate: timestamp(),
    raw: json(),
  },
})

export const contacts = defineTable({
  name: 'hubspot.contacts',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    firstname: text(),
    lastname: text(),
    email: text(),
    jobtitle: text(),
    lifecyclestage: text(),
    hs_lead_status: text(),
    associatedcompanyid: bigint(),
    createdate: timestamp(),
    lastmodifieddate: timestamp(),
    raw: json(),
  },
})

export const deals = defineTable({
  name: 'hubspot.deals',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    dealname: text(),
    amount: number(),
    dealstage: text(),
    pipeline: text(),
    closedate: timestamp(),
    createdate: timestamp(),
    hs_is_closed: boolean(),
    hs_is_closed_won: boolean(),
    hs_lastmodifieddate: timestamp(),
    raw: json(),
  },
})

export const companyContacts = defineTable({
  name: 'hubspot.company_contacts',
  key: ['company_id', 'contact_id', 'type_id'],
  columns: {
    company_id: bigint().notNull(),
    contact_id: bigint().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})

export const companyDeals = defineTable({
  name: 'hubspot.company_deals',
  key: ['company_id', 'deal_id', 'type_id'],
  columns: {
    company_id: bigint().notNull(),
    deal_id: bigint().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})

export const dealContacts = defineTable({
  name: 'hubspot.deal_contacts',
  key: ['deal_id', 'contact_id', 'type_id'],
  columns: {
    deal_id: bigint().notNull(),
    contact_id: bigint().notNull(),
    type_id: integer().notNull(),
    label: text(),
  },
})

/** Values a property had before, from propertiesWithHistory: HubSpot keeps the last 20 to 45 of each. */
export const companyPropertyHistory = defineTable({
  name: 'hubspot.company_property_history',
  key: ['company_id', 'property', 'changed_at'],
  columns: {
    company_id: bigint().notNull(),
    property: text().notNull(),
    changed_at: timestamp().notNull(),
    value: text(),
    source_type: text(),
  },
  about: { company_id: companies },
})
