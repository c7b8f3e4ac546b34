/** From a message as kafkajs hands it over to a record; of a header given twice the last counts. */
import type { EachBatchPayload } from 'kafkajs'
import type { KafkaRecord } from './decode.ts'

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
