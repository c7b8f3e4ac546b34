/**
 * Life in a portal: people edit it while one watches.
 *
 * Invariants: never faster than `perSecond`; the kinds of edits follow the seed; the portal neither empties nor grows
 * without bound, because additions and removals balance. Ends when the signal aborts.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import type { CrmRecord } from './record.ts'
import { type Random, randomFrom } from './rng.ts'
import { DEAL_STAGES } from './schema.ts'
import { addContact, addDeal, companyValues } from './seed-portal.ts'
import { INDUSTRIES } from './words.ts'

export interface LiveEditOptions {
  readonly seed: number
  /** On average. */
  readonly perSecond: number
  readonly signal: AbortSignal
  /** Stops by itself after so many. */
  readonly edits?: number | undefined
  readonly onEdit?: ((edit: LiveEdit) => void) | undefined
}

export interface LiveEdit {
  readonly what: string
  readonly type: ObjectType
  readonly id: number
}

type Kind = (portal: Portal, random: Random, company: CrmRecord) => LiveEdit | undefined

const done = (what: string, { type, id }: CrmRecord): LiveEdit => ({ what, type, id })

function aDealOf(portal: Portal, random: Random, company: CrmRecord): CrmRecord | undefined {
  const deals = portal.edges.of('companies', company.id, 'deals').flatMap(([id]) => portal.get('deals', id) ?? [])
  return deals[random.whole(0, Math.max(0, deals.length - 1))]
}

function anyCompany(portal: Portal, random: Random): CrmRecord | undefined {
  const live = [...portal.live('companies')]
  return live[random.whole(0, Math.max(0, live.length - 1))]
}

const resizeTeam: Kind = (portal, random, company) => {
  const before = Number(company.properties.numberofemployees ?? 5)
  const factor = random.chance(0.75) ? 1.1 + random.next() * 0.6 : 0.5 + random.next() * 0.4
  const after = Math.max(1, Math.round(before * factor + random.next() * 2))
  return done('team resized', portal.edit('companies', company.id, { numberofemployees: after }))
}

const flipHiring: Kind = (portal, _, company) =>
  done(
    'hiring switched',
    portal.edit('companies', company.id, { yc_is_hiring: company.properties.yc_is_hiring !== 'true' }),
  )

const rewordProfile: Kind = (portal, random, company) => {
  const { does, tags } = random.pick(INDUSTRIES)
  const values = random.chance(0.5) ? { yc_one_liner: does } : { yc_tags: tags.slice(0, random.whole(1, 3)).join(';') }
  return done('profile reworded', portal.edit('companies', company.id, values))
}

const moveStage: Kind = (portal, random, company) => {
  const deal = aDealOf(portal, random, company)
  if (deal === undefined) return undefined
  const stages = Object.keys(DEAL_STAGES)
  const at = stages.indexOf(deal.properties.dealstage ?? '')
  const next = DEAL_STAGES[deal.properties.dealstage ?? '']?.closed === true ? stages[0] : stages[at + 1]
  return done('deal moved on', portal.edit('deals', deal.id, { dealstage: next ?? 'appointmentscheduled' }))
}

const changeAmount: Kind = (portal, random, company) => {
  const deal = aDealOf(portal, random, company)
  if (deal === undefined) return undefined
  return done('amount changed', portal.edit('deals', deal.id, { amount: random.whole(2, 240) * 500 }))
}

/** A deal changes hands; its own record is edited too, as a person would, so that it shows at once. */
const moveDeal: Kind = (portal, random, company) => {
  const deal = aDealOf(portal, random, company)
  const target = anyCompany(portal, random)
  if (deal === undefined || target === undefined || target === company) return undefined
  portal.dissociate('deals', deal.id, 'companies', company.id)
  portal.associate('deals', deal.id, 'companies', target.id, 341)
  portal.associate('deals', deal.id, 'companies', target.id, 5)
  for (const { id } of [company, target]) portal.touch('companies', [id])
  return done(
    'deal changed company',
    portal.edit('deals', deal.id, { dealname: `${target.properties.name}: taken over` }),
  )
}

const hireContact: Kind = (portal, random, company) => {
  const contact = addContact(portal, random, company, portal.clock.now())
  portal.touch('companies', [company.id])
  return done('contact added', contact)
}

const openDeal: Kind = (portal, random, company) => {
  const deal = addDeal(portal, random, company, portal.clock.now())
  portal.touch('companies', [company.id])
  return done('deal added', deal)
}

const dropContact: Kind = (portal, random, company) => {
  const people = portal.edges.of('companies', company.id, 'contacts')
  const chosen = people[random.whole(0, Math.max(0, people.length - 1))]
  const contact = chosen === undefined ? undefined : portal.get('contacts', chosen[0])
  if (contact === undefined) return undefined
  portal.archive('contacts', contact.id)
  return done('contact archived', contact)
}

const foundCompany: Kind = (portal, random) => {
  const values = companyValues(random, random.whole(1_000, 1_000_000))
  const company = portal.create('companies', values)
  addContact(portal, random, company, portal.clock.now())
  return done('company added', company)
}

const archiveCompany: Kind = (portal, _, company) => {
  if (portal.count('companies') < 50) return undefined
  portal.archive('companies', company.id)
  return done('company archived', company)
}

const restoreCompany: Kind = (portal, random) => {
  const archived = [...portal.records('companies').page(0, 50, true)]
  const chosen = archived[random.whole(0, Math.max(0, archived.length - 1))]
  if (chosen === undefined) return undefined
  portal.restore('companies', chosen.id)
  return done('company restored', chosen)
}

const mergeCompanies: Kind = (portal, random, company) => {
  const other = anyCompany(portal, random)
  if (other === undefined || other === company || portal.count('companies') < 50) return undefined
  return done('companies merged', portal.merge('companies', company.id, other.id))
}

/** How often each happens among 100. */
const KINDS: readonly (readonly [number, Kind])[] = [
  [34, resizeTeam],
  [24, flipHiring],
  [8, rewordProfile],
  [12, moveStage],
  [6, changeAmount],
  [4, moveDeal],
  [4, hireContact],
  [2, openDeal],
  [3, dropContact],
  [1, archiveCompany],
  [1, restoreCompany],
  [1, mergeCompanies],
  [1, foundCompany],
]

function kindOf(random: Random): Kind {
  let left = random.next() * KINDS.reduce((sum, [weight]) => sum + weight, 0)
  for (const [weight, kind] of KINDS) {
    left -= weight
    if (left < 0) return kind
  }
  return resizeTeam
}

/** One edit; undefined: what the dice chose was not possible. */
export function liveEdit(portal: Portal, random: Random): LiveEdit | undefined {
  const company = anyCompany(portal, random)
  return company === undefined ? undefined : kindOf(random)(portal, random, company)
}

export async function liveEdits(portal: Portal, options: LiveEditOptions): Promise<void> {
  const { seed, perSecond, signal, edits = Number.POSITIVE_INFINITY, onEdit } = options
  const random = randomFrom(seed, 'life')
  for (let made = 0; made < edits && !signal.aborted; ) {
    const pauseMs = (1_000 / perSecond) * (0.5 + random.next())
    try {
      await wait(pauseMs, undefined, { signal })
    } catch (error) {
      if (signal.aborted) return
      throw error
    }
    const edit = liveEdit(portal, random)
    if (edit === undefined) continue
    made += 1
    onEdit?.(edit)
  }
}
