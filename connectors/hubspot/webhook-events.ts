/**
 * Which records a webhook of HubSpot tells of, in the format of old (`company.creation`) and in the generic one
 * (`object.creation` with an object type id), for every type that is read.
 *
 * Invariant: only ids are taken from an event; what became of the record is read from HubSpot. Pure.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import type { WebhookEvent } from '../../src/define/index.ts'
import type { ReadTypes } from './schemas.ts'

const idText = z.union([z.number(), z.string()]).transform(String)
const event = z.object({
  subscriptionType: z.string().optional(),
  eventType: z.string().optional(),
  objectTypeId: z.string().optional(),
  objectId: idText.optional(),
  propertyName: z.string().optional(),
  propertyValue: z.string().nullish(),
  eventId: idText.optional(),
  subscriptionId: idText.optional(),
  portalId: idText.optional(),
  occurredAt: idText.optional(),
  primaryObjectId: idText.optional(),
  mergedObjectIds: z.array(idText).optional(),
  newObjectId: idText.optional(),
  fromObjectId: idText.optional(),
  toObjectId: idText.optional(),
  associationType: z.string().optional(),
  fromObjectTypeId: z.string().optional(),
  toObjectTypeId: z.string().optional(),
})
const events = z.array(event)
type HubspotEvent = z.infer<typeof event>

/** How the old format names types. */
const WORD: Readonly<Record<string, string>> = { contact: '0-1', company: '0-2', deal: '0-3', ticket: '0-5' }

type Named = readonly [objectTypeId: string | undefined, id: string | undefined]

/** Records one event tells of, by object type id. */
function recordsNamed(one: HubspotEvent, type: string): readonly Named[] {
  const word = type.split('.')[0] ?? ''
  const own = word === 'object' ? one.objectTypeId : (WORD[word] ?? one.objectTypeId)
  const ids = [one.objectId, one.primaryObjectId, one.newObjectId, ...(one.mergedObjectIds ?? [])]
  const [from, to] = (one.associationType ?? '').toLowerCase().split('_to_')
  return [
    ...ids.map((id): Named => [own, id]),
    [one.fromObjectTypeId ?? WORD[from ?? ''], one.fromObjectId],
    [one.toObjectTypeId ?? WORD[to ?? ''], one.toObjectId],
  ]
}

/**
 * (stream, id) of each record that is read.
 * @throws Error while custom objects are not known yet: the event comes again
 */
function recordsOf(one: HubspotEvent, type: string, types: ReadTypes): readonly [string, string][] {
  return recordsNamed(one, type).flatMap(([objectTypeId, id]): [string, string][] => {
    if (objectTypeId === undefined || id === undefined || !/^\d{1,19}$/.test(id)) return []
    const stream = types.typeOf(objectTypeId)
    if (stream !== undefined) return [[stream, id]]
    if (objectTypeId.startsWith('2-') && !types.complete) {
      throw new Error(`The custom objects of the portal are not known yet, so ${objectTypeId} cannot be told.`)
    }
    return []
  })
}

/** `eventId` alone is not unique, so all that tells events apart goes in; the attempt does not. */
function eventId(one: HubspotEvent, stream: string, key: string): string {
  const parts = [one.portalId, one.subscriptionId, one.eventId, one.occurredAt, one.propertyName, one.propertyValue]
  return createHash('sha256')
    .update(JSON.stringify([...parts.map((part) => part ?? null), stream, key]))
    .digest('base64url')
}

/** Events of types that no stream reads are passed over. @throws TypeError; Error when it must come again */
export function webhookEvents(body: string, types: ReadTypes): readonly WebhookEvent[] {
  let json: unknown
  try {
    json = JSON.parse(body)
  } catch (error) {
    throw new TypeError('The body is not JSON.', { cause: error })
  }
  const parsed = events.safeParse(json)
  if (!parsed.success) throw new TypeError(`The body is no list of HubSpot events: ${parsed.error.issues[0]?.message}`)
  return parsed.data.flatMap((one) => {
    const type = one.subscriptionType ?? one.eventType ?? ''
    const isProperty = type.endsWith('.propertyChange') && one.propertyName !== undefined
    const wrote = isProperty ? { field: one.propertyName ?? '', value: one.propertyValue ?? '' } : null
    return recordsOf(one, type, types).map(([stream, key]) => ({ id: eventId(one, stream, key), stream, key, wrote }))
  })
}
