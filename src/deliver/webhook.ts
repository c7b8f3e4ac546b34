/**
 * Classifications to an HTTPS endpoint of the user's, signed as Standard Webhooks (standardwebhooks.com) says.
 *
 * Invariants: id and body of a repeat are those of the first try, so a receiver that keeps ids acts once; the time in
 * the signature is the try's own. One bad record never holds up others: it fails alone as long as any other is taken.
 */
import { createHmac } from 'node:crypto'
import { createOutgoing, type Outgoing } from '../connect/outgoing/request.ts'
import { type DeliveryOutcome, type DeliveryRecord, SourceError, type WebhookDelivery } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import type { Destination, DestinationOptions } from './destination.ts'

const BATCH = 50
/** Answers that say the address is wrong, not the record. */
const ADDRESS = new Set([401, 403, 404, 405, 410])

/** The headers Standard Webhooks asks for. @param secret `whsec_` and base64 */
export function signatureHeaders(
  secret: string,
  id: string,
  timestampMs: number,
  body: string,
): Readonly<Record<string, string>> {
  const timestamp = String(Math.floor(timestampMs / 1_000))
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
}

export function webhookBody(entity: string, { key, values, previous, isGone }: DeliveryRecord): string {
  const type = isGone ? 'classification.removed' : 'classification.changed'
  return JSON.stringify({ type, data: { entity, key, values, previous } })
}

function trouble(kind: 'transient' | 'config' | 'rate-limited', message: string, retryAtMs?: number): SourceError {
  const mend =
    kind === 'config'
      ? 'Mend the address or the endpoint; it is tried again every few minutes.'
      : 'It is repeated by itself. If it lasts, look at the endpoint.'
  const code = kind === 'config' ? 'DELIVER_ENDPOINT_REFUSED' : 'DELIVER_ENDPOINT_FAILED'
  return new SourceError({ kind, code, message, mend, retryAtMs })
}

type Tried = DeliveryOutcome | { readonly key: string; readonly trouble: Error }

function judged(key: string, status: number, retryAfter: string | undefined, nowMs: number): Tried {
  if (status >= 200 && status < 300) return { key, status: 'written' }
  const message = `The endpoint answered ${status}.`
  if (status === 429 || status === 503) {
    const seconds = Number(retryAfter)
    const retryAtMs = seconds > 0 ? nowMs + Math.min(seconds, 3_600) * 1_000 : undefined
    return { key, trouble: trouble('rate-limited', message, retryAtMs) }
  }
  if (status === 408 || status >= 500) return { key, trouble: trouble('transient', message) }
  if (status < 400 || ADDRESS.has(status)) return { key, trouble: trouble('config', message) }
  return { key, status: 'refused', code: 'DELIVER_RECORD_REFUSED', reason: message }
}

export function webhookDestination(delivery: WebhookDelivery, options: DestinationOptions): Destination {
  const { url, secret, allow, entity, concurrency } = delivery
  const { signal, resolver, clock = Date } = options
  const send: Outgoing = createOutgoing({ allow, ...(resolver === undefined ? {} : { resolver }) })

  async function one(record: DeliveryRecord): Promise<Tried> {
    const { key } = record
    const body = webhookBody(entity.name, record)
    const now = clock.now()
    try {
      const { status, headers } = await send({
        method: 'POST',
        url,
        headers: { 'content-type': 'application/json', ...signatureHeaders(secret, record.id, now, body) },
        body: Buffer.from(body),
        signal,
      })
      return judged(key, status, headers['retry-after'], now)
    } catch (thrown) {
      signal.throwIfAborted()
      const error = asError(thrown)
      if (!isRescoreError(error)) throw error
      return { key, trouble: error }
    }
  }

  return {
    batchSize: BATCH,
    hearsOfGone: true,
    prepare: () => Promise.resolve(),
    async write(records) {
      const waiting = [...records]
      const tried: Tried[] = []
      const worker = async () => {
        for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) tried.push(await one(next))
      }
      await Promise.all(Array.from({ length: Math.min(concurrency, records.length) }, worker))
      const failed = tried.find((result) => 'trouble' in result)
      const isEndpoint = failed !== undefined && tried.every((result) => 'trouble' in result)
      if (isEndpoint) throw failed.trouble
      return tried.map((result) =>
        'trouble' in result
          ? { key: result.key, status: 'refused', code: 'DELIVER_RECORD_FAILED', reason: result.trouble.message }
          : result,
      )
    },
  }
}
