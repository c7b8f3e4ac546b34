/**
 * A short conversation with the cluster as a whole: connected, used, closed, errors in our words.
 * Invariant: the connection is closed whatever comes of it, and a failure to close hides no other.
 */
import type { Admin } from 'kafkajs'
import { type ClientOptions, createKafka } from './client.ts'
import { kafkaError } from './errors.ts'
import type { KafkaSettings } from './settings.ts'

/** Rejects when the signal aborts; `done` takes the listener away. */
export function abortion(signal: AbortSignal | undefined): { readonly promise: Promise<never>; done(): void } {
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal?.reason)
  if (signal?.aborted === true) stop()
  signal?.addEventListener('abort', stop, { once: true })
  return { promise, done: () => signal?.removeEventListener('abort', stop) }
}

/**
 * @param doing what for, as the message of an error says it
 * @throws RescoreError LOG_KAFKA_*; the signal's reason when it aborts first
 */
export async function withAdmin<T>(
  settings: KafkaSettings,
  options: ClientOptions & { readonly signal?: AbortSignal },
  doing: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const { log, signal } = options
  const admin = createKafka(settings, options).admin()
  const abort = abortion(signal)
  try {
    return await Promise.race([abort.promise, admin.connect().then(() => work(admin))])
  } catch (error) {
    signal?.throwIfAborted()
    throw kafkaError(error, doing)
  } finally {
    abort.done()
    await admin.disconnect().catch((error: Error) => log.warn({ error: error.message }, 'Kafka: closing failed.'))
  }
}
