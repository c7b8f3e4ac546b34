/**
 * The webhooks journal: what happened in the portal, kept in files one after the other, to be fetched for three days.
 *
 * Invariants: only what is subscribed to is kept; a file never changes once it is published; events stand in the order
 * they happened in; a file older than three days is gone, and its offset with it.
 */
import type { PortalEvent } from './events.ts'
import type { ObjectType } from './object-types.ts'
import { PORTAL_ID } from './object-types.ts'
import type { Portal } from './portal.ts'
import { type Random, randomFrom } from './rng.ts'

export const JOURNAL_KEPT_MS = 3 * 86_400_000
const MOST_EVENTS = 10_000

export interface Subscription {
  readonly id: number
  readonly subscriptionType: 'OBJECT' | 'ASSOCIATION' | 'GDPR_PRIVACY_DELETION'
  readonly portalId: number
  readonly objectTypeId: string
  readonly actions: readonly string[]
  /** Of an UPDATE; empty: any. */
  readonly properties: readonly string[]
}

export interface JournalFile {
  readonly offset: string
  readonly publishedMs: number
  readonly events: readonly object[]
}

const ACTION = {
  creation: 'CREATE',
  propertyChange: 'UPDATE',
  deletion: 'DELETE',
  restore: 'RESTORE',
  merge: 'MERGE',
  privacyDeletion: 'GDPR_DELETE',
} as const

export class Journal {
  readonly #portal: Portal
  readonly #random: Random
  readonly #subscriptions: Subscription[] = []
  readonly #kept = new Map<string, JournalFile>()
  #pending: object[] = []
  #listening = false

  constructor(portal: Portal) {
    this.#portal = portal
    this.#random = randomFrom(portal.seed, 'journal')
  }

  get subscriptions(): readonly Subscription[] {
    return this.#subscriptions
  }

  subscribe(subscription: Omit<Subscription, 'id'>): Subscription {
    const made = { ...subscription, id: this.#subscriptions.length + 1 }
    this.#subscriptions.push(made)
    if (!this.#listening) this.#portal.events.listen((event) => this.#take(event))
    this.#listening = true
    return made
  }

  unsubscribe(id: number): void {
    const at = this.#subscriptions.findIndex((one) => one.id === id)
    if (at >= 0) this.#subscriptions.splice(at, 1)
  }

  /** Files that are there, the oldest first; what has happened since the last look is published. */
  files(): readonly JournalFile[] {
    while (this.#pending.length > 0) {
      const file = {
        offset: this.#random.uuid(),
        publishedMs: this.#portal.clock.now(),
        events: this.#pending.splice(0, MOST_EVENTS),
      }
      this.#kept.set(file.offset, file)
    }
    const since = this.#portal.clock.now() - JOURNAL_KEPT_MS
    for (const { offset, publishedMs } of this.#kept.values()) if (publishedMs < since) this.#kept.delete(offset)
    return [...this.#kept.values()]
  }

  #take(event: PortalEvent): void {
    const { type, id, atMs } = event
    const at = { portalId: PORTAL_ID, occurredAt: new Date(atMs).toISOString() }
    const objectTypeId = this.#idOf(type)
    if (event.association !== undefined) {
      const { to, toId, typeId, category, removed } = event.association
      const action = removed ? 'ASSOCIATION_REMOVED' : 'ASSOCIATION_ADDED'
      if (!this.#wants('ASSOCIATION', objectTypeId, action)) return
      const associated = { associatedObjectId: toId, associatedObjectTypeId: this.#idOf(to) }
      const kind = { associationTypeId: typeId, associationCategory: category }
      this.#pending.push({ type: 'association', ...at, action, objectTypeId, objectId: id, ...associated, ...kind })
      return
    }
    if (event.kind === 'associationChange') return
    const action = ACTION[event.kind]
    const wanted = action === 'GDPR_DELETE' ? 'GDPR_PRIVACY_DELETION' : 'OBJECT'
    if (!this.#wants(wanted, objectTypeId, action, event.property?.name)) return
    const { property, merge } = event
    this.#pending.push({
      type: 'crmObject',
      ...at,
      action,
      objectTypeId,
      objectId: id,
      ...(property === undefined ? {} : { propertyChanges: { [property.name]: property.value } }),
      ...(merge === undefined ? {} : { primaryObjectId: merge.primary, mergedObjectIds: merge.merged }),
    })
  }

  #idOf(type: ObjectType): string {
    return this.#portal.types.get(type).objectTypeId
  }

  #wants(kind: Subscription['subscriptionType'], objectTypeId: string, action: string, property?: string): boolean {
    return this.#subscriptions.some(
      (one) =>
        one.subscriptionType === kind &&
        one.objectTypeId === objectTypeId &&
        one.actions.includes(action) &&
        (property === undefined || one.properties.length === 0 || one.properties.includes(property)),
    )
  }
}
