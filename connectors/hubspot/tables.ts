/**
 * Source tables for HubSpot. A column is named after the HubSpot property it mirrors; declaring a column is how a user
 * picks a property. Three columns are not properties: `id`, `raw` (what did not fit its column: {property: string}), and
 * the keys of associations and histories.
 *
 * A project may pass its own tables with other columns, as long as the key stays `id bigint`. A table of associations is
 * keyed by the two ids, the category and the type, in this order: a pair may carry more than one label, and a portal's own
 * types are numbered apart from HubSpot's.
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

export const tickets = defineTable({
  name: 'hubspot.tickets',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    subject: text(),
    content: text(),
    hs_pipeline: text(),
    hs_pipeline_stage: text(),
    hs_ticket_priority: text(),
    hubspot_owner_id: bigint(),
    createdate: timestamp(),
    closed_date: timestamp(),
    hs_lastmodifieddate: timestamp(),
    raw: json(),
  },
})

const ASSOCIATION_TYPE = {
  /** HUBSPOT_DEFINED, USER_DEFINED or INTEGRATOR_DEFINED */
  category: text().notNull(),
  type_id: integer().notNull(),
  /** null: the association without a label. */
  label: text(),
}

export const companyContacts = defineTable({
  name: 'hubspot.company_contacts',
  key: ['company_id', 'contact_id', 'category', 'type_id'],
  columns: { company_id: bigint().notNull(), contact_id: bigint().notNull(), ...ASSOCIATION_TYPE },
  about: { company_id: companies, contact_id: contacts },
})

export const companyDeals = defineTable({
  name: 'hubspot.company_deals',
  key: ['company_id', 'deal_id', 'category', 'type_id'],
  columns: { company_id: bigint().notNull(), deal_id: bigint().notNull(), ...ASSOCIATION_TYPE },
  about: { company_id: companies, deal_id: deals },
})

export const dealContacts = defineTable({
  name: 'hubspot.deal_contacts',
  key: ['deal_id', 'contact_id', 'category', 'type_id'],
  columns: { deal_id: bigint().notNull(), contact_id: bigint().notNull(), ...ASSOCIATION_TYPE },
  about: { deal_id: deals, contact_id: contacts },
})

export const companyTickets = defineTable({
  name: 'hubspot.company_tickets',
  key: ['company_id', 'ticket_id', 'category', 'type_id'],
  columns: { company_id: bigint().notNull(), ticket_id: bigint().notNull(), ...ASSOCIATION_TYPE },
  about: { company_id: companies, ticket_id: tickets },
})

export const ticketContacts = defineTable({
  name: 'hubspot.ticket_contacts',
  key: ['ticket_id', 'contact_id', 'category', 'type_id'],
  columns: { ticket_id: bigint().notNull(), contact_id: bigint().notNull(), ...ASSOCIATION_TYPE },
  about: { ticket_id: tickets, contact_id: contacts },
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

/** Every kind of association of the pairs that are read, with its label as it is now. */
export const associationLabels = defineTable({
  name: 'hubspot.association_labels',
  key: ['from_type', 'to_type', 'category', 'type_id'],
  columns: { from_type: text().notNull(), to_type: text().notNull(), ...ASSOCIATION_TYPE },
})

/** Those who left stay, archived: records go on naming them. */
export const owners = defineTable({
  name: 'hubspot.owners',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    email: text(),
    first_name: text(),
    last_name: text(),
    user_id: bigint(),
    teams: json(),
    archived: boolean(),
    created_at: timestamp(),
    updated_at: timestamp(),
  },
})

export const pipelines = defineTable({
  name: 'hubspot.pipelines',
  key: ['object_type', 'id'],
  columns: {
    object_type: text().notNull(),
    id: text().notNull(),
    label: text(),
    display_order: integer(),
    archived: boolean(),
    updated_at: timestamp(),
  },
})

export const pipelineStages = defineTable({
  name: 'hubspot.pipeline_stages',
  key: ['object_type', 'pipeline_id', 'id'],
  columns: {
    object_type: text().notNull(),
    pipeline_id: text().notNull(),
    id: text().notNull(),
    label: text(),
    display_order: integer(),
    /** Of deals: the stage ends them. */
    is_closed: boolean(),
    /** Of deals: 0 to 1. */
    probability: number(),
    /** Of tickets: OPEN or CLOSED. */
    ticket_state: text(),
    archived: boolean(),
    updated_at: timestamp(),
  },
})
