/**
 * HubSpot's webhooks: are they genuine, and which records do they tell of.
 *
 * Invariants: the signature is made over the bytes that came and over the public address HubSpot was given, never over
 * what the request says its host is; the comparison takes the same time whatever is wrong. Version 1, which knows no
 * time and so cannot tell a replay, is taken only where it is asked for, and never in place of a version 3 that is there.
 * Pure.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { WebhookCall, WebhookEvent, WebhookHeaders, WebhookReceiver } from '../../src/define/index.ts'

export interface HubspotWebhooks {
  /** Of the app that sends them; signs them. */
  readonly clientSecret: string
  /** As it is entered in HubSpot: https://hooks.example.com/hubspot */
  readonly publicUrl: string
  /** Where the request arrives behind the proxy. Default: the path of `publicUrl`. */
  readonly path?: string
  /** Legacy private apps sign with version 1 only. Default: false. */
  readonly acceptV1?: boolean
}

/** Older than this, or from as far in the future, is refused. */
const FRESH_MS = 300_000
/** HubSpot sends fewer than 100 events at once. */
const MAX_BYTES = 1_048_576
const V3 = 'x-hubspot-signature-v3'
const TIMESTAMP = 'x-hubspot-request-timestamp'
const V1 = 'x-hubspot-signature'

/** Characters HubSpot signs decoded. */
const SIGNED_DECODED = /%(?:3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/gi

function equal(given: string, expected: Buffer, encoding: 'base64' | 'hex'): boolean {
  const bytes = Buffer.from(given, encoding)
  // Also against texts that decode alike.
  return bytes.length === expected.length && timingSafeEqual(bytes, expected) && bytes.toString(encoding) === given
}

function isGenuineV3(webhooks: HubspotWebhooks, { method, query, headers, body }: WebhookCall): boolean {
  const uri = `${webhooks.publicUrl}${query}`.replace(SIGNED_DECODED, (code) => decodeURIComponent(code))
  const expected = createHmac('sha256', webhooks.clientSecret)
    .update(`${method}${uri}`)
    .update(body)
    .update(headers[TIMESTAMP] ?? '')
    .digest()
  return equal(headers[V3] ?? '', expected, 'base64')
}

function isGenuineV1({ clientSecret }: HubspotWebhooks, { headers, body }: WebhookCall): boolean {
  const expected = createHash('sha256').update(clientSecret).update(body).digest()
  return equal(headers[V1] ?? '', expected, 'hex')
}

function refusal(headers: WebhookHeaders, nowMs: number, acceptV1: boolean): string | null {
  const [v3, timestamp, v1] = [headers[V3], headers[TIMESTAMP], headers[V1]]
  if (v3 === undefined) {
    if (!acceptV1) return 'it carries no signature of version 3'
    return v1 !== undefined && /^[0-9a-f]{64}$/.test(v1) && headers['x-hubspot-signature-version'] === 'v1'
      ? null
      : 'it carries no signature'
  }
  if (!/^[A-Za-z0-9+/]{43}=$/.test(v3)) return 'its signature has not the form of one'
  if (timestamp === undefined || !/^\d{13}$/.test(timestamp)) return 'it does not say when it was sent'
  return Math.abs(nowMs - Number(timestamp)) > FRESH_MS ? 'it was not sent within the last five minutes' : null
}

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
})
const events = z.array(event)
type HubspotEvent = z.infer<typeof event>

/** Names of types in events, to streams. */
const STREAM: Readonly<Record<string, string>> = {
  company: 'companies',
  contact: 'contacts',
  deal: 'deals',
  ticket: 'tickets',
  '0-1': 'contacts',
  '0-2': 'companies',
  '0-3': 'deals',
  '0-5': 'tickets',
}

/** Which records one event tells of: (stream, id). */
function recordsOf(one: HubspotEvent, type: string, streams: ReadonlySet<string>): readonly [string, string][] {
  const word = type.split('.')[0] ?? ''
  const stream = STREAM[word === 'object' ? (one.objectTypeId ?? '') : word]
  const records: [string | undefined, string | undefined][] = []
  for (const id of [one.objectId, one.primaryObjectId, one.newObjectId, ...(one.mergedObjectIds ?? [])]) {
    records.push([stream, id])
  }
  const [from, to] = (one.associationType ?? '').toLowerCase().split('_to_')
  records.push([STREAM[from ?? ''], one.fromObjectId], [STREAM[to ?? ''], one.toObjectId])
  return records.flatMap(([name, id]): [string, string][] =>
    name !== undefined && id !== undefined && /^\d{1,19}$/.test(id) && streams.has(name) ? [[name, id]] : [],
  )
}

/** `eventId` alone is not unique, so all that tells events apart goes in; the attempt does not. */
function eventId(one: HubspotEvent, stream: string, key: string): string {
  const parts = [one.portalId, one.subscriptionId, one.eventId, one.occurredAt, one.propertyName, one.propertyValue]
  return createHash('sha256')
    .update(JSON.stringify([...parts.map((part) => part ?? null), stream, key]))
    .digest('base64url')
}

/** Events of types that no stream reads are passed over. @throws TypeError */
export function webhookEvents(body: string, streams: ReadonlySet<string>): readonly WebhookEvent[] {
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
    return recordsOf(one, type, streams).map(([stream, key]) => ({ id: eventId(one, stream, key), stream, key, wrote }))
  })
}

/** @throws TypeError for a public address that is not one */
export function hubspotWebhooks(webhooks: HubspotWebhooks, streams: readonly string[]): WebhookReceiver {
  const { publicUrl, clientSecret, acceptV1 = false } = webhooks
  if (!URL.canParse(publicUrl) || publicUrl.includes('?') || publicUrl.includes('#')) {
    throw new TypeError('webhooks.publicUrl must be the address entered in HubSpot: https://hooks.example.com/hubspot')
  }
  if (clientSecret === '') throw new TypeError('webhooks.clientSecret must not be empty.')
  const names = new Set(streams)
  return {
    path: webhooks.path ?? new URL(publicUrl).pathname,
    maxBytes: MAX_BYTES,
    refusal: (headers, nowMs) => refusal(headers, nowMs, acceptV1),
    isGenuine: (call) =>
      call.headers[V3] === undefined ? acceptV1 && isGenuineV1(webhooks, call) : isGenuineV3(webhooks, call),
    events: (body) => webhookEvents(body, names),
  }
}
