/**
 * HubSpot's webhooks: are they genuine. Which records they tell of: webhook-events.ts.
 *
 * Invariants: the signature is made over the bytes that came and over the public address HubSpot was given, never over
 * what the request says its host is; the comparison takes the same time whatever is wrong. Version 1, which knows no
 * time and so cannot tell a replay, is taken only where it is asked for, and never in place of a version 3 that is there.
 * Pure.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { WebhookCall, WebhookHeaders, WebhookReceiver } from '../../src/define/index.ts'
import type { ReadTypes } from './schemas.ts'
import { webhookEvents } from './webhook-events.ts'

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

/** @throws TypeError for a public address that is not one */
export function hubspotWebhooks(webhooks: HubspotWebhooks, types: ReadTypes): WebhookReceiver {
  const { publicUrl, clientSecret, acceptV1 = false } = webhooks
  if (!URL.canParse(publicUrl) || publicUrl.includes('?') || publicUrl.includes('#')) {
    throw new TypeError('webhooks.publicUrl must be the address entered in HubSpot: https://hooks.example.com/hubspot')
  }
  if (clientSecret === '') throw new TypeError('webhooks.clientSecret must not be empty.')
  return {
    path: webhooks.path ?? new URL(publicUrl).pathname,
    maxBytes: MAX_BYTES,
    refusal: (headers, nowMs) => refusal(headers, nowMs, acceptV1),
    isGenuine: (call) =>
      call.headers[V3] === undefined ? acceptV1 && isGenuineV1(webhooks, call) : isGenuineV3(webhooks, call),
    events: (body) => webhookEvents(body, types),
  }
}
