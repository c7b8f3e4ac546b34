/** From a message as kafkajs hands it over to a record, and what can be said of one that is not understood. Pure. */
import type { EachBatchPayload } from 'kafkajs'
import type { KafkaRecord } from './decode.ts'

/** Of a header given twice the last counts. */
export function recordOf(message: EachBatchPayload['batch']['messages'][number]): KafkaRecord {
  const headers: Record<string, string | undefined> = {}
  for (const [name, value] of Object.entries(message.headers ?? {})) {
    const one = Array.isArray(value) ? value.at(-1) : value
    headers[name] = one === undefined ? undefined : one.toString()
  }
  return {
    offset: BigInt(message.offset),
    timestampMs: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers,
  }
}

/** The texts of a record's key; null when it has none that can be read. */
export function keyTexts(key: Buffer | null): Readonly<Record<string, string>> | null {
  if (key === null) return null
  try {
    const parsed: unknown = JSON.parse(key.toString('utf8'))
    if (typeof parsed !== 'object' || parsed === null) return null
    // A converter with schemas on wraps the key.
    const columns = 'schema' in parsed && 'payload' in parsed ? parsed.payload : parsed
    if (typeof columns !== 'object' || columns === null) return null
    return Object.fromEntries(Object.entries(columns).map(([column, value]) => [column, String(value)]))
  } catch {
    // Not JSON either: the whole table is stale in any case.
    return null
  }
}
