/**
 * A believable portal from a seed: companies with some years of edits behind them, their contacts and deals.
 * Invariant: the same seed, sizes and clock give the same portal.
 */
import { Portal } from './portal.ts'
import type { CrmRecord } from './record.ts'
import { type Random, randomFrom } from './rng.ts'
import type { PortalOptions } from './store.ts'
import * as words from './words.ts'

const DAY_MS = 86_400_000

export interface SeedOptions extends PortalOptions {
  readonly seed: number
  /** Default 300. */
  readonly companies?: number | undefined
  /** On average; default 3. */
  readonly contactsPerCompany?: number | undefined
  /** On average; default 1.5. */
  readonly dealsPerCompany?: number | undefined
  /** On average; default 0.4. */
  readonly ticketsPerCompany?: number | undefined
}

/** From 0 to twice the mean. */
const around = (random: Random, mean: number): number => Math.round(random.next() * 2 * mean)

/** Every pair of a start and an end once before any comes again. */
function stemOf(number: number): string {
  const { COMPANY_STARTS: starts, COMPANY_ENDS: ends } = words
  const end = Math.floor(number / starts.length) + number
  return `${starts[number % starts.length] ?? starts[0]}${ends[end % ends.length] ?? ends[0]}`
}

export function companyValues(random: Random, number: number) {
  const industry = random.pick(words.INDUSTRIES)
  const place = random.pick(words.PLACES)
  const stem = stemOf(number)
  const round = Math.floor(number / (words.COMPANY_STARTS.length * words.COMPANY_ENDS.length))
  const name = round === 0 ? stem : `${stem} ${round + 1}`
  const domain = `${stem.toLowerCase()}-${number}.example`
  const batch = random.pick(words.BATCHES)
  const employees = Math.max(1, Math.round(2 * Math.exp(random.next() * 4)))
  const team = `A team of ${employees} in ${place.city}.`
  return {
    name,
    domain,
    website: random.chance(0.95) ? `https://${domain}` : null,
    city: place.city,
    country: place.country,
    industry: industry.name,
    description:
      `${name} builds ${industry.does}. ${random.chance(0.7) ? team : ''} ${random.chance(0.4) ? 'Its first customers came by word of mouth, and most of them stayed.' : ''}`.trim(),
    numberofemployees: employees,
    annualrevenue: random.chance(0.6) ? employees * random.whole(40, 180) * 1_000 : null,
    lifecyclestage: random.pick(['lead', 'opportunity', 'customer']),
    yc_one_liner: industry.does,
    yc_subindustry: industry.subindustry,
    yc_tags: industry.tags.slice(0, random.whole(1, industry.tags.length)).join(';'),
    yc_top_company: random.chance(0.05),
    yc_is_hiring: random.chance(0.35),
    yc_nonprofit: random.chance(0.03),
    yc_batch: batch,
    yc_status: random.chance(0.9) ? 'Active' : random.pick(['Inactive', 'Acquired']),
    yc_regions: place.regions,
    yc_stage: employees > 60 ? 'Growth' : 'Early',
  }
}

/** Teams that grow, hiring that goes on and off, a new line of text now and then. */
function pastEdits(portal: Portal, random: Random, company: CrmRecord, nowMs: number): void {
  let atMs = company.createdMs
  let employees = Number(company.properties.numberofemployees)
  for (let left = around(random, 4); left > 0; left -= 1) {
    atMs += random.whole(20, 240) * DAY_MS + random.whole(0, DAY_MS)
    if (atMs >= nowMs) return
    const dice = random.next()
    if (dice < 0.5) {
      employees = Math.max(1, Math.round(employees * (0.85 + random.next() * 0.7) + random.next() * 2))
      portal.edit('companies', company.id, { numberofemployees: employees }, { atMs })
    } else if (dice < 0.8) {
      const hiring = company.properties.yc_is_hiring === 'true'
      portal.edit('companies', company.id, { yc_is_hiring: !hiring }, { atMs })
    } else {
      const { does } = random.pick(words.INDUSTRIES)
      portal.edit('companies', company.id, { yc_one_liner: `${does}, and more` }, { atMs })
    }
  }
}

export function addContact(portal: Portal, random: Random, company: CrmRecord, atMs: number): CrmRecord {
  const firstname = random.pick(words.FIRST_NAMES)
  const lastname = random.pick(words.LAST_NAMES)
  const local = `${firstname}.${lastname}`
    .normalize('NFD')
    .replace(/[^\w.]/g, '')
    .toLowerCase()
  const contact = portal.create(
    'contacts',
    {
      firstname,
      lastname,
      email: `${local}@${company.properties.domain ?? 'mail.example'}`,
      jobtitle: random.chance(0.4) ? random.pick(words.SENIOR) : random.pick(words.OTHERS),
      lifecyclestage: random.pick(['subscriber', 'lead', 'opportunity', 'customer']),
      hs_lead_status: random.pick(['NEW', 'OPEN', 'IN_PROGRESS', 'CONNECTED']),
      associatedcompanyid: company.id,
    },
    { atMs },
  )
  portal.associate('contacts', contact.id, 'companies', company.id, 279)
  portal.associate('contacts', contact.id, 'companies', company.id, 1)
  return contact
}

export function addDeal(portal: Portal, random: Random, company: CrmRecord, atMs: number): CrmRecord {
  const open = random.chance(0.6)
  const stage = open ? random.pick(words.OPEN_STAGES) : random.pick(['closedwon', 'closedlost'])
  const deal = portal.create(
    'deals',
    {
      dealname: `${company.properties.name ?? 'Company'}: ${random.pick(words.DEAL_KINDS)}`,
      amount: random.whole(2, 240) * 500,
      dealstage: stage,
      pipeline: 'default',
      closedate: atMs + random.whole(14, 180) * DAY_MS,
    },
    { atMs },
  )
  portal.associate('deals', deal.id, 'companies', company.id, 341)
  portal.associate('deals', deal.id, 'companies', company.id, 5)
  return deal
}

/** Contacts and deals for every company of a portal, the companies left as they are. */
export function addPeopleAndDeals(portal: Portal, random: Random, contacts: number, deals: number): void {
  const nowMs = portal.clock.now()
  for (const company of [...portal.live('companies')]) {
    const sinceMs = Math.min(company.createdMs, nowMs)
    const moment = () => Math.round(sinceMs + random.next() * (nowMs - sinceMs))
    const people = Array.from({ length: around(random, contacts) }, () => addContact(portal, random, company, moment()))
    for (let left = around(random, deals); left > 0; left -= 1) {
      const deal = addDeal(portal, random, company, moment())
      for (const person of people) {
        if (random.chance(0.4)) portal.associate('deals', deal.id, 'contacts', person.id)
      }
    }
  }
}

const OWNERS = [
  ['Anna', 'Ek'],
  ['Ben', 'Osei'],
  ['Chiara', 'Riva'],
] as const

/** Owners, and tickets they look after. */
function addTickets(portal: Portal, random: Random, perCompany: number): void {
  const owners = OWNERS.map(([firstName, lastName]) =>
    portal.owners.add({ firstName, lastName, email: `${firstName.toLowerCase()}@portal.example` }),
  )
  for (const company of [...portal.live('companies')]) {
    for (let left = around(random, perCompany); left > 0; left -= 1) {
      const owner = owners[random.whole(0, owners.length - 1)]
      const ticket = portal.create('tickets', {
        subject: `${company.properties.name ?? 'Company'}: ${random.pick(['login', 'invoice', 'slow page', 'export'])}`,
        hs_pipeline: '0',
        hs_pipeline_stage: String(random.whole(1, 4)),
        hs_ticket_priority: random.pick(['LOW', 'MEDIUM', 'HIGH']),
        hubspot_owner_id: owner?.id ?? null,
      })
      portal.associate('tickets', ticket.id, 'companies', company.id)
    }
  }
}

export function seedPortal(options: SeedOptions): Portal {
  const { seed, companies = 300, contactsPerCompany = 3, dealsPerCompany = 1.5, ticketsPerCompany = 0.4 } = options
  const portal = new Portal(options)
  const random = randomFrom(seed, 'portal')
  const nowMs = portal.clock.now()
  for (let number = 0; number < companies; number += 1) {
    const atMs = nowMs - random.whole(30, 1_100) * DAY_MS - random.whole(0, DAY_MS)
    const launched = { yc_launched_at: random.chance(0.8) ? atMs - random.whole(0, 400) * DAY_MS : null }
    const values = { ...companyValues(random, number), ...launched }
    pastEdits(portal, random, portal.create('companies', values, { atMs, source: 'IMPORT' }), nowMs)
  }
  addPeopleAndDeals(portal, random, contactsPerCompany, dealsPerCompany)
  addTickets(portal, randomFrom(seed, 'tickets'), ticketsPerCompany)
  return portal
}
