/**
 * What happens in a portal, as HubSpot tells it to webhooks and to the journal.
 * Invariant: told after it has happened, once, in the order it happened in; nobody who listens can change it.
 */
import type { Category } from './edges.ts'
import type { ObjectType } from './object-types.ts'

export type EventKind =
  | 'creation'
  | 'propertyChange'
  | 'deletion'
  | 'restore'
  | 'merge'
  | 'associationChange'
  | 'privacyDeletion'

export interface PortalEvent {
  readonly kind: EventKind
  readonly type: ObjectType
  readonly id: number
  readonly atMs: number
  readonly source: string
  /** Of a propertyChange; '' where it was cleared. */
  readonly property?: { readonly name: string; readonly value: string }
  /** Of a merge. */
  readonly merge?: { readonly primary: number; readonly merged: readonly number[] }
  /** Of an associationChange. */
  readonly association?: {
    readonly to: ObjectType
    readonly toId: number
    readonly typeId: number
    readonly category: Category
    readonly removed: boolean
  }
}

export type PortalListener = (event: PortalEvent) => void

export class PortalEvents {
  readonly #listeners = new Set<PortalListener>()

  /** Whether anybody listens; events cost nothing else. */
  get heard(): boolean {
    return this.#listeners.size > 0
  }

  /** @returns ends it */
  listen(listener: PortalListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  tell(event: PortalEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
