/**
 * Features and model of the test project: every aggregate, every kind of filter, features of features, a tolerance with
 * a reader behind it, and one that throws on a poisoned name.
 */
import {
  type AnyFeature,
  defineConfig,
  defineFeature,
  defineModel,
  type ProjectConfig,
} from '../../src/define/index.ts'
import { company, contact, relations } from './project.ts'

const { contacts, events, deals, primaryDeals, items, notes, contactEvents } = relations
const ofCompany = { entity: company, version: 1, description: '' }
const ofContact = { entity: contact, version: 1, description: '' }

export const MIDDLE_OF_TIME = Date.parse('2026-01-15T00:00:00Z')
export const POISON = 'poison'

const amount = defineFeature({
  ...ofCompany,
  name: 'amount',
  type: 'number',
  inputs: { won: deals.sum('amount', { where: { stage: 'won' } }), count: deals.count({ where: { stage: 'won' } }) },
  compute: ({ won, count }) => (count === 0 ? null : won),
})

const visits = defineFeature({
  ...ofCompany,
  name: 'visits',
  type: 'integer',
  inputs: { count: events.count({ where: { kind: { in: ['visit', 'call'] } } }) },
  compute: ({ count }) => count,
})

const isPartner = defineFeature({
  ...ofCompany,
  name: 'is_partner',
  type: 'boolean',
  inputs: { value: company.columns.is_partner },
  compute: ({ value }) => value === true,
})

const activeContacts = defineFeature({
  ...ofCompany,
  name: 'active_contacts',
  type: 'integer',
  inputs: { count: contacts.count({ where: { is_active: true, score: { not: null } } }) },
  compute: ({ count }) => count,
})

const emails = defineFeature({
  ...ofCompany,
  name: 'emails',
  type: 'integer',
  inputs: {
    known: contacts.countDistinct('email', { where: { email: { isNull: false } } }),
    unknown: contacts.count({ where: { email: null } }),
  },
  compute: ({ known, unknown }) => known * 1000 + unknown,
})

const meanScore = defineFeature({
  ...ofCompany,
  name: 'mean_score',
  type: 'number',
  equal: { abs: 0.75 },
  inputs: { mean: contacts.avg('score') },
  compute: ({ mean }) => mean,
})

/** Exact, behind a tolerance: belongs to the stored input, not to the one from scratch. */
const meanText = defineFeature({
  ...ofCompany,
  name: 'mean_text',
  type: 'text',
  inputs: { meanScore },
  compute: (inputs) => String(inputs.meanScore),
})

const firstSeen = defineFeature({
  ...ofCompany,
  name: 'first_seen',
  type: 'number',
  inputs: { at: contacts.min('seen_at', { where: { is_active: { not: false } } }) },
  compute: ({ at }) => at,
})

const lastStage = defineFeature({
  ...ofCompany,
  name: 'last_stage',
  type: 'text',
  inputs: { stage: deals.latest('stage', { orderBy: 'closed_on' }) },
  compute: ({ stage }) => stage,
})

const cheapest = defineFeature({
  ...ofCompany,
  name: 'cheapest',
  type: 'text',
  inputs: { top: deals.top(3, { columns: ['name', 'amount'], orderBy: 'amount', order: 'asc' }) },
  compute: ({ top }) => top.map((deal) => `${deal.name}: ${deal.amount}`).join('; '),
})

const weight = defineFeature({
  ...ofCompany,
  name: 'weight',
  type: 'number',
  inputs: { sum: events.sum('weight', { where: { happened_at: { gte: MIDDLE_OF_TIME } } }) },
  compute: ({ sum }) => sum,
})

/** An update that leaves the TOASTed text alone and moves the stage is where an unknown value must not be taken for null. */
const documented = defineFeature({
  ...ofCompany,
  name: 'documented',
  type: 'integer',
  inputs: { count: deals.count({ where: { stage: 'won', terms: { isNull: false } } }) },
  compute: ({ count }) => count,
})

const primaryMost = defineFeature({
  ...ofCompany,
  name: 'primary_most',
  type: 'number',
  inputs: { most: primaryDeals.max('amount') },
  compute: ({ most }) => most,
})

const openDeals = defineFeature({
  ...ofCompany,
  name: 'open_deals',
  type: 'integer',
  inputs: { count: deals.count({ where: { stage: { notIn: ['won', 'lost'] } } }) },
  compute: ({ count }) => count,
})

const pieces = defineFeature({
  ...ofCompany,
  name: 'pieces',
  type: 'integer',
  inputs: { sum: items.sum('quantity') },
  compute: ({ sum }) => sum,
})

const stars = defineFeature({
  ...ofCompany,
  name: 'stars',
  type: 'integer',
  inputs: { best: notes.max('stars', { where: { stars: { gt: 0, lte: 5 } } }) },
  compute: ({ best }) => best,
})

const aboutLength = defineFeature({
  ...ofCompany,
  name: 'about_length',
  type: 'integer',
  inputs: { about: company.columns.about },
  compute: ({ about }) => about?.length ?? null,
})

const size = defineFeature({
  ...ofCompany,
  name: 'size',
  type: 'text',
  inputs: { employees: company.columns.employees, revenue: company.columns.revenue },
  compute: ({ employees, revenue }) => {
    if (employees === null) return revenue === null ? null : 'unknown'
    return employees > 50 ? 'large' : 'small'
  },
})

const profile = defineFeature({
  ...ofCompany,
  name: 'profile',
  type: 'text',
  inputs: { size, visits, pieces, founded: company.columns.founded_at },
  compute: (inputs) => `${inputs.size}, ${inputs.visits}, ${inputs.pieces}, ${inputs.founded}`,
})

const initial = defineFeature({
  ...ofCompany,
  name: 'initial',
  type: 'text',
  inputs: { name: company.columns.name },
  compute: ({ name }) => {
    if (name?.startsWith(POISON)) throw new Error(`${POISON} has no initial`)
    return name === null ? null : [...name].slice(0, 1).join('')
  },
})

const touches = defineFeature({
  ...ofContact,
  name: 'touches',
  type: 'integer',
  inputs: { count: contactEvents.count() },
  compute: ({ count }) => count,
})

const lastKind = defineFeature({
  ...ofContact,
  name: 'last_kind',
  type: 'text',
  inputs: { kind: contactEvents.latest('kind', { orderBy: 'happened_at' }), email: contact.columns.email },
  compute: ({ kind, email }) => (email === null ? kind : `${kind} of ${email}`),
})

const warmth = defineFeature({
  ...ofContact,
  name: 'warmth',
  type: 'integer',
  inputs: { touches, score: contact.columns.score },
  compute: (inputs) => (inputs.touches ?? 0) * (inputs.score ?? 1),
})

export const model = defineModel({
  name: 'pair',
  entity: company,
  features: [amount, visits, isPartner],
  folder: new URL('./models/pair/', import.meta.url),
  description: '',
})

export const features: readonly AnyFeature[] = [
  ...[amount, visits, isPartner, activeContacts, emails, meanScore, meanText, firstSeen, lastStage, cheapest, weight],
  ...[documented, primaryMost, openDeals, pieces, stars, aboutLength, size, profile, initial],
  ...[touches, lastKind, warmth],
]

export const projectConfig: ProjectConfig = defineConfig({ features, models: [model] })
