/**
 * Aggregates over a company's contacts and deals, reached through the CRM's associations.
 *
 * Invariant: a contact or deal counts once however many labels its association carries. None of these is an input of
 * the shipped models: the directory they are trained on has no contacts or deals (see the model cards).
 */
import { defineFeature } from '../src/define/index.ts'
import { company, people, sales } from './company-entity.ts'

/** Compared as written: a filter on rows is data for SQL, so the titles are listed rather than matched. */
export const SENIOR_TITLES = [
  'CEO',
  'CTO',
  'COO',
  'CFO',
  'CMO',
  'Founder',
  'Co-founder',
  'Co-Founder',
  'President',
  'VP Engineering',
  'VP Sales',
  'VP Marketing',
  'VP Product',
  'Head of Engineering',
  'Head of Operations',
  'Head of Product',
  'Head of Sales',
]

export const contactCount = defineFeature({
  entity: company,
  name: 'n_contacts',
  version: 1,
  type: 'integer',
  description: 'Contacts associated with the company',
  inputs: { contacts: people.count() },
  compute: ({ contacts }) => contacts,
})

export const seniorContacts = defineFeature({
  entity: company,
  name: 'n_senior_contacts',
  version: 1,
  type: 'integer',
  description: 'Associated contacts who run something, by job title',
  inputs: { contacts: people.count({ where: { jobtitle: { in: SENIOR_TITLES } } }) },
  compute: ({ contacts }) => contacts,
})

export const seniorShare = defineFeature({
  entity: company,
  name: 'senior_share',
  version: 1,
  type: 'number',
  description: 'Senior contacts as a share of all; null without contacts',
  inputs: { senior: seniorContacts, all: contactCount },
  compute: ({ senior, all }) => (senior === null || all === null || all === 0 ? null : senior / all),
})

export const dealCount = defineFeature({
  entity: company,
  name: 'n_deals',
  version: 1,
  type: 'integer',
  description: 'Deals associated with the company',
  inputs: { deals: sales.count() },
  compute: ({ deals }) => deals,
})

export const openDeals = defineFeature({
  entity: company,
  name: 'open_deals',
  version: 1,
  type: 'integer',
  description: 'Deals that are neither won nor lost',
  inputs: { deals: sales.count({ where: { hs_is_closed: { not: true } } }) },
  compute: ({ deals }) => deals,
})

export const openAmount = defineFeature({
  entity: company,
  name: 'open_amount',
  version: 1,
  type: 'number',
  description: 'Sum of the amounts of open deals',
  inputs: { amount: sales.sum('amount', { where: { hs_is_closed: { not: true } } }) },
  compute: ({ amount }) => amount,
})

export const wonDeals = defineFeature({
  entity: company,
  name: 'won_deals',
  version: 1,
  type: 'integer',
  description: 'Deals won',
  inputs: { deals: sales.count({ where: { hs_is_closed_won: true } }) },
  compute: ({ deals }) => deals,
})

export const wonAmount = defineFeature({
  entity: company,
  name: 'won_amount',
  version: 1,
  type: 'number',
  description: 'Sum of the amounts of deals won',
  inputs: { amount: sales.sum('amount', { where: { hs_is_closed_won: true } }) },
  compute: ({ amount }) => amount,
})

export const largestDeal = defineFeature({
  entity: company,
  name: 'largest_deal',
  version: 1,
  type: 'number',
  description: 'Greatest amount of any deal; null when no deal has one',
  inputs: { amount: sales.max('amount') },
  compute: ({ amount }) => amount,
})

export const winRate = defineFeature({
  entity: company,
  name: 'win_rate',
  version: 1,
  type: 'number',
  description: 'Deals won as a share of deals closed; null before the first closes',
  expect: { min: 0, max: 1, otherwise: 'block' },
  inputs: { won: wonDeals, open: openDeals, all: dealCount },
  compute: ({ won, open, all }) => {
    if (won === null || open === null || all === null || all === open) return null
    return won / (all - open)
  },
})
