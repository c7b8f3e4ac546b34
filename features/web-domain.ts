/**
 * Features of a company's domain name, from RDAP. Invariant: a domain the registry does not know is told from one nobody
 * could answer for; both have no age. None of these is an input of the shipped models (see the model cards).
 */
import { rdapDomains } from '../connectors/rdap/index.ts'
import { defineFeature } from '../src/define/index.ts'
import { daysBetween } from './company-activity.ts'
import { company } from './company-entity.ts'
import { byDomain, yearOf } from './web-entity.ts'

const registration = company.many(rdapDomains, byDomain)

export const domainYear = defineFeature({
  entity: company,
  name: 'domain_year',
  version: 1,
  type: 'number',
  description: 'When its domain was registered, as a decimal year',
  inputs: { at: registration.min('registered_at') },
  equal: { abs: 1e-9 },
  compute: ({ at }) => yearOf(at),
})

export const domainAgeAtEntryDays = defineFeature({
  entity: company,
  name: 'domain_age_at_entry_days',
  version: 1,
  type: 'integer',
  description: 'Days from the registration of its domain to its entry into the CRM; negative when it was entered first',
  inputs: { at: registration.min('registered_at'), entered: company.columns.createdate },
  compute: ({ at, entered }) => daysBetween(at, entered),
})

export const domainUnregistered = defineFeature({
  entity: company,
  name: 'domain_unregistered',
  version: 1,
  type: 'boolean',
  description: 'States a domain that nobody has registered',
  inputs: { absent: registration.count({ where: { outcome: 'absent' } }) },
  compute: ({ absent }) => absent > 0,
})
