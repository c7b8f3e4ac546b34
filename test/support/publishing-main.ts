/**
 * Capture into Kafka as a process of its own, so that a test can kill it: at a named point by RESCORE_TEST_FAULTS, or from
 * outside. Order comes as the one argument, JSON.
 */
import { publishChanges } from '../../src/capture/publishing.ts'
import { createPool } from '../../src/db/pool.ts'
import { asError } from '../../src/errors.ts'
import { faultsFromEnvironment } from '../../src/faults.ts'
import { createKafka } from '../../src/log/kafka/client.ts'
import { readKafkaSettings } from '../../src/log/kafka/settings.ts'

export interface PublishingOrder {
  readonly url: string
  readonly slot: string
  readonly brokers: string
  readonly prefix: string
  readonly tables: readonly string[]
}

const order: PublishingOrder = JSON.parse(process.argv[2] ?? '{}')
const { url, slot, prefix, tables } = order
const settings = readKafkaSettings({ KAFKA_BROKERS: order.brokers, KAFKA_PREFIX: prefix })
if (settings === null) throw new TypeError('no brokers')
const pool = createPool({ url, applicationName: 'rescore test capture', max: 2 })
const faults = faultsFromEnvironment()
const ending = new AbortController()
process.on('SIGTERM', () => ending.abort(new Error('Terminated.')))

try {
  await publishChanges({
    pool,
    url,
    slot,
    publication: slot,
    kafka: createKafka(settings, { role: 'capture', log: { warn: () => undefined } }),
    prefix,
    tables,
    signal: ending.signal,
    confirmEveryMs: 20,
    ...(faults === undefined ? {} : { faults }),
  })
} catch (error) {
  process.stderr.write(`${asError(error).stack}\n`)
  process.exitCode = 1
}
await pool.end()
