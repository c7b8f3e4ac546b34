/**
 * Brokers for a whole test run: one per version, shared by the tests that only need some broker and use topics of their own.
 *
 * RESCORE_KAFKA_VERSIONS (comma separated) leaves versions out. Where there is no Java the reason is printed and the
 * tests are skipped; anything else that keeps a broker from starting fails the run.
 */
import type { TestProject } from 'vitest/node'
import { KAFKA_VERSIONS, whyNoKafka } from './archives.ts'
import { type KafkaBroker, startBroker } from './broker.ts'

export interface ProvidedBroker {
  readonly version: string
  /** KAFKA_BROKERS */
  readonly brokers: string
}

declare module 'vitest' {
  export interface ProvidedContext {
    kafka: readonly ProvidedBroker[]
    /** Why there are none; null when there are. */
    kafkaMissing: string | null
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const missing = await whyNoKafka()
  project.provide('kafkaMissing', missing)
  if (missing !== null) {
    process.stderr.write(`\nThe tests against a real Kafka are skipped: ${missing}\n\n`)
    project.provide('kafka', [])
    return async () => undefined
  }
  const wanted = process.env.RESCORE_KAFKA_VERSIONS?.split(',')
  const versions = KAFKA_VERSIONS.filter((version) => wanted === undefined || wanted.includes(version))
  const started = await Promise.allSettled(versions.map((version) => startBroker({ version })))
  const brokers: KafkaBroker[] = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const stop = async () => {
    await Promise.all(brokers.map((broker) => broker[Symbol.asyncDispose]()))
  }
  const failed = started.find((one) => one.status === 'rejected')
  if (failed !== undefined) {
    await stop()
    throw failed.reason
  }
  project.provide(
    'kafka',
    brokers.map(({ version, brokers: address }) => ({ version, brokers: address })),
  )
  return stop
}
