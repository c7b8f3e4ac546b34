/** Owners of records: the portal's users, those who left included. `GET /crm/owners/2026-09` and its v3 twin. */
import { type Call, LIST_LIMIT, ok, type Reply } from './call.ts'
import type { SimulatorClock } from './clock.ts'
import { invalid, notFound } from './failure.ts'

export interface Owner {
  readonly id: number
  readonly email: string
  readonly firstName: string
  readonly lastName: string
  readonly userId: number
  readonly teams: readonly { readonly id: string; readonly name: string; readonly primary: boolean }[]
  readonly createdMs: number
  readonly updatedMs: number
  readonly archived: boolean
}

type OwnerInput = Pick<Owner, 'email' | 'firstName' | 'lastName'> & Partial<Pick<Owner, 'id' | 'teams'>>

const FIRST_ID = 70_000_001

export class Owners {
  readonly #owners = new Map<number, Owner>()
  readonly #clock: SimulatorClock

  constructor(clock: SimulatorClock) {
    this.#clock = clock
  }

  add(input: OwnerInput): Owner {
    const id = input.id ?? FIRST_ID + this.#owners.size
    const now = this.#clock.now()
    const owner: Owner = {
      teams: [],
      ...input,
      id,
      userId: id - FIRST_ID + 1_000,
      createdMs: now,
      updatedMs: now,
      archived: false,
    }
    this.#owners.set(id, owner)
    return owner
  }

  /** @throws Error when there is no such owner */
  change(id: number, values: Partial<Pick<Owner, 'email' | 'firstName' | 'lastName' | 'archived' | 'teams'>>): void {
    const owner = this.#owners.get(id)
    if (owner === undefined) throw new Error(`No owner ${id}.`)
    this.#owners.set(id, { ...owner, ...values, updatedMs: this.#clock.now() })
  }

  remove(id: number): void {
    this.#owners.delete(id)
  }

  adopt(owner: Owner): void {
    this.#owners.set(owner.id, owner)
  }

  /** Ids ascending. */
  all(): readonly Owner[] {
    return [...this.#owners.values()].sort((left, right) => left.id - right.id)
  }
}

const iso = (ms: number) => new Date(ms).toISOString()

function ownerBody({ id, userId, createdMs, updatedMs, archived, teams, ...own }: Owner): object {
  return {
    id: String(id),
    type: 'PERSON',
    ...own,
    // A user who was removed has no user id any more.
    ...(archived ? {} : { userId }),
    userIdIncludingInactive: userId,
    createdAt: iso(createdMs),
    updatedAt: iso(updatedMs),
    archived,
    ...(teams.length === 0 ? {} : { teams }),
  }
}

export function owners(call: Call, [rawId]: readonly string[]): Reply {
  const all = call.portal.owners.all()
  const archived = call.query.get('archived') === 'true'
  if (rawId !== undefined) {
    const found = all.find((owner) => String(owner.id) === rawId && owner.archived === archived)
    if (found === undefined) throw notFound()
    return ok(ownerBody(found))
  }
  const limit = Number(call.query.get('limit') ?? LIST_LIMIT)
  if (!Number.isInteger(limit) || limit < 1 || limit > 500) throw invalid(`Invalid limit: ${limit}`)
  const after = Number(call.query.get('after') ?? 0)
  const email = call.query.get('email')
  const rest = all.filter(
    (owner) => owner.archived === archived && owner.id > after && (email === null || owner.email === email),
  )
  const page = rest.slice(0, limit)
  const results = page.map(ownerBody)
  if (rest.length <= limit) return ok({ results })
  const next = String(page.at(-1)?.id)
  return ok({ results, paging: { next: { after: next, link: `?after=${next}` } } })
}
