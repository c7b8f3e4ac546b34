/**
 * The scored entity and the paths to what hangs on it. One place, so that every feature walks the same associations.
 *
 * Invariant: nothing here or in the other files of this folder reads a clock. Time enters only as a difference between
 * two column values, so a stored value stays right for as long as its inputs stay as they are.
 */
import {
  companies,
  companyContacts,
  companyDeals,
  companyPropertyHistory,
  contacts,
  deals,
} from '../connectors/hubspot/tables.ts'
import { defineEntity } from '../src/define/index.ts'

export const company = defineEntity({ name: 'company', table: companies })

export const people = company.many(contacts, { through: companyContacts, from: 'company_id', to: 'contact_id' })
export const sales = company.many(deals, { through: companyDeals, from: 'company_id', to: 'deal_id' })
export const history = company.many(companyPropertyHistory, { foreignKey: 'company_id' })

/** How HubSpot names the source of a value that a person typed into the record. Imports and bulk edits have others. */
export const TYPED_BY_A_PERSON = 'CRM_UI'
