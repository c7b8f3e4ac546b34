/** What a `.kafka.test.ts` file begins with: its tests run against each version, or are skipped with the reason. */
import { describe, inject } from 'vitest'
import { type KafkaSettings, readKafkaSettings } from '../../../src/log/kafka/settings.ts'
import type { ProvidedBroker } from './server.ts'

/** Settings as from an environment, with a prefix that no other test uses. */
export function kafkaSettings(variables: Readonly<Record<string, string>>): KafkaSettings {
  const prefix = `t${crypto.randomUUID().slice(0, 8)}`
  const settings = readKafkaSettings({ KAFKA_PREFIX: prefix, KAFKA_PARTITIONS: '4', ...variables })
  if (settings === null) throw new TypeError('KAFKA_BROKERS is not among the variables')
  return settings
}

/** Once per version of Kafka, on the brokers of the run. */
export function describeKafka(name: string, body: (broker: ProvidedBroker) => void): void {
  const missing = inject('kafkaMissing')
  if (missing !== null) {
    describe.skip(`${name} (${missing})`, () => body({ version: 'none', brokers: '127.0.0.1:1' }))
    return
  }
  for (const broker of inject('kafka')) describe(`${name}, Kafka ${broker.version}`, () => body(broker))
}

/** For tests that start brokers of their own. */
export function describeWithJava(name: string, body: () => void): void {
  const missing = inject('kafkaMissing')
  if (missing === null) describe(name, body)
  else describe.skip(`${name} (${missing})`, body)
}
