/**
 * Webhooks as HubSpot sends them: batches of fewer than 100 events, signed, repeated until they are taken.
 *
 * Invariants: an event is told of at least once, and again with the next attempt number until the target answers 2xx or
 * ten attempts are spent; neither order nor the number of times is promised, and a test may make both worse.
 */
import { createHash, createHmac } from 'node:crypto'
import type { PortalEvent } from './events.ts'
import { PORTAL_ID } from './object-types.ts'
import type { Portal } from './portal.ts'
import { type Random, randomFrom } from './rng.ts'

const MOST_EVENTS = 99
const MOST_ATTEMPTS = 10
const ANSWER_MS = 5_000
const APP_ID = 1_160_452

export interface WebhookTarget {
  readonly url: string
  readonly clientSecret: string
  /** Signed instead of `url`, where a proxy stands in between. */
  readonly publicUrl?: string | undefined
  /** `company.creation`, or `object.creation` with an object type id. Default: legacy; custom objects are always generic. */
  readonly format?: 'legacy' | 'generic' | undefined
  /** Default: v3 */
  readonly signature?: 'v1' | 'v3' | undefined
}

export interface DeliverOptions {
  /** Every event comes twice. */
  readonly twice?: boolean | undefined
  readonly shuffled?: boolean | undefined
}

interface Outgoing {
  readonly body: Readonly<Record<string, unknown>>
  attempt: number
}

export class WebhookSender {
  readonly #portal: Portal
  readonly #random: Random
  #target: WebhookTarget | undefined
  #pending: Outgoing[] = []
  #events = 0

  constructor(portal: Portal) {
    this.#portal = portal
    this.#random = randomFrom(portal.seed, 'webhooks')
  }

  get pending(): number {
    return this.#pending.length
  }

  /** From now on what happens is told to `target`, when `deliver` is called. */
  subscribe(target: WebhookTarget): void {
    if (this.#target === undefined) this.#portal.events.listen((event) => this.#take(event))
    this.#target = target
  }

  /** Sends what is pending, once. @returns events taken and refused; those are pending still */
  async deliver(options: DeliverOptions = {}): Promise<{ readonly taken: number; readonly refused: number }> {
    const target = this.#target
    if (target === undefined) return { taken: 0, refused: 0 }
    const sending = this.#pending.splice(0)
    if (options.shuffled === true) this.#random.shuffle(sending)
    const all = options.twice === true ? [...sending, ...sending] : sending
    let refused = 0
    for (let at = 0; at < all.length; at += MOST_EVENTS) {
      const batch = all.slice(at, at + MOST_EVENTS)
      if (await this.#send(target, batch)) continue
      refused += batch.length
      for (const one of batch) one.attempt += 1
      this.#pending.push(...new Set(batch.filter(({ attempt }) => attempt < MOST_ATTEMPTS)))
    }
    return { taken: all.length - refused, refused }
  }

  async #send(target: WebhookTarget, batch: readonly Outgoing[]): Promise<boolean> {
    const { url, clientSecret, publicUrl = url, signature = 'v3' } = target
    const text = JSON.stringify(batch.map(({ body, attempt }) => ({ ...body, attemptNumber: attempt })))
    const at = String(this.#portal.clock.now())
    const v3 = createHmac('sha256', clientSecret).update(`POST${publicUrl}${text}${at}`).digest('base64')
    const headers =
      signature === 'v3'
        ? { 'x-hubspot-signature-v3': v3, 'x-hubspot-request-timestamp': at }
        : {
            'x-hubspot-signature': createHash('sha256')
              .update(clientSecret + text)
              .digest('hex'),
            'x-hubspot-signature-version': 'v1',
          }
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: text,
        signal: AbortSignal.timeout(ANSWER_MS),
      })
      await answer.arrayBuffer()
      return answer.ok
    } catch {
      // Away or too slow: as good as refused.
      return false
    }
  }

  #take(event: PortalEvent): void {
    const spec = this.#portal.types.get(event.type)
    // HubSpot tells of erasures for contacts alone.
    if (event.kind === 'privacyDeletion' && spec.name !== 'contacts') return
    this.#events += 1
    const isLegacy = this.#target?.format !== 'generic' && !spec.isCustom
    const word = isLegacy || event.kind === 'privacyDeletion' ? spec.singular : 'object'
    const common = {
      // Not unique, as HubSpot says of it.
      eventId: this.#events % 1_000,
      subscriptionId: 1_000 + event.kind.length,
      portalId: PORTAL_ID,
      appId: APP_ID,
      occurredAt: event.atMs,
      subscriptionType: `${word}.${event.kind}`,
      changeSource: event.source,
      ...(isLegacy ? {} : { objectTypeId: spec.objectTypeId }),
    }
    this.#pending.push({ body: { ...common, ...this.#details(event, isLegacy) }, attempt: 0 })
  }

  #details(event: PortalEvent, isLegacy: boolean): object {
    const { id, property, merge, association } = event
    if (association !== undefined) {
      const [from, to] = [this.#portal.types.get(event.type), this.#portal.types.get(association.to)]
      return {
        ...(isLegacy && !to.isCustom
          ? { associationType: `${from.singular}_TO_${to.singular}`.toUpperCase() }
          : { fromObjectTypeId: from.objectTypeId, toObjectTypeId: to.objectTypeId }),
        associationTypeId: association.typeId,
        associationCategory: association.category,
        fromObjectId: id,
        toObjectId: association.toId,
        associationRemoved: association.removed,
        isPrimaryAssociation: [1, 2, 5, 6, 25, 26].includes(association.typeId),
      }
    }
    if (merge !== undefined) {
      return { objectId: id, primaryObjectId: merge.primary, mergedObjectIds: merge.merged, newObjectId: id }
    }
    return {
      objectId: id,
      ...(property === undefined ? {} : { propertyName: property.name, propertyValue: property.value }),
    }
  }
}
