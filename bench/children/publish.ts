/** Capture into Kafka as a process of its own, as `rescore start --stages capture` runs it; ends with SIGTERM. */
import { publishChanges } from '../../src/capture/publishing.ts'
import { createPool } from '../../src/db/pool.ts'
import { createKafka } from '../../src/log/kafka/client.ts'
import type { Compression } from '../../src/log/kafka/compress.ts'
import { readKafkaSettings } from '../../src/log/kafka/settings.ts'
import { onOrder } from './process.ts'

export interface PublishOrder {
  readonly url: string
  readonly slot: string
  readonly publication: string
  readonly table: string
  readonly brokers: string
  readonly prefix: string
  readonly compression: Compression
}

const ending = new AbortController()
process.on('SIGTERM', () => ending.abort(new Error('Terminated.')))
// Without the bench nobody would ever stop it.
process.on('disconnect', () => ending.abort(new Error('The bench is gone.')))

onOrder<PublishOrder>(async ({ brokers, table, ...order }) => {
  const settings = readKafkaSettings({ KAFKA_BROKERS: brokers, KAFKA_PREFIX: order.prefix })
  if (settings === null) throw new TypeError('no brokers')
  const log = {
    warn: (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
  }
  const pool = createPool({ url: order.url, applicationName: 'rescore bench capture', max: 2 })
  const kafka = createKafka(settings, {
    role: 'capture',
    log: { warn: (fields, message) => void log.warn(fields, message) },
  })
  await publishChanges({ ...order, pool, kafka, tables: [table], signal: ending.signal })
  await pool.end()
  if (process.connected) process.disconnect()
})
