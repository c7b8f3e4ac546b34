/**
 * A short conversation with the cluster as a whole: connected, used, closed, errors in our words.
 * Invariant: the connection is closed whatever comes of it, and a failure to close hides no other.
 */
import type { Admin } from 'kafkajs'
import { type ClientOptions, createKafka } from './client.ts'
import { kafkaError } from './errors.ts'
import type { KafkaSettings } from './settings.ts'

/**
 * @param doing what for, as the message of an error says it
 * @throws RescoreError LOG_KAFKA_*
 */
export async function withAdmin<T>(
  settings: KafkaSettings,
  options: ClientOptions,
  doing: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = createKafka(settings, options).admin()
  try {
    await admin.connect()
    return await work(admin)
  } catch (error) {
    throw kafkaError(error, doing)
  } finally {
    await admin
      .disconnect()
      .catch((error: Error) => options.log.warn({ error: error.message }, 'Kafka: closing failed.'))
  }
}
