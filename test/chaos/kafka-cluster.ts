/**
 * A service shared over a Kafka of its own, as real processes, and the question whether all it stored is true.
 *
 * Invariants: a process that ended by itself, where nobody said it would, fails the next check; disposing kills every
 * process, stopped ones included, before the broker and the database go.
 */
import { expect } from 'vitest'
import { type KafkaSettings, readKafkaSettings } from '../../src/log/kafka/settings.ts'
import { waitUntilReflected } from '../../src/observe/wait.ts'
import type { Part } from '../../src/shared-process.ts'
import { type BrokerOptions, type KafkaBroker, startBroker } from '../support/kafka/broker.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { historyFaults } from './kafka-history.ts'
import { createChecker } from './running.ts'
import { type Ended, type ServiceChild, startSharedChild } from './service-child.ts'

/** Far beyond what a busy machine needs to find a lost broker again; only a hang reaches it. */
export const PATIENCE_MS = 150_000
/** The shortest the brokers of these tests allow: a process that was killed is missed after this long. */
const SESSION_TIMEOUT_MS = 4_000
export const WORKER: readonly Part[] = ['recompute', 'score']
export const CAPTURE: readonly Part[] = ['capture']

export interface StartOptions {
  readonly faults?: string
  readonly sessionTimeoutMs?: number
  /** Other KAFKA_BROKERS than the broker's own: a proxy in front of it. */
  readonly brokers?: string
}

export interface Cluster extends AsyncDisposable {
  readonly place: TestDatabase
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  start(parts: readonly Part[], options?: StartOptions): ServiceChild
  /** Waits until everything is reflected. @throws with what every process last complained of */
  calm(): Promise<void>
  /** At rest: everything is reflected, nothing differs from a recompute, no value went back, nobody fell over. */
  check(after: string): Promise<void>
  /** The number of differences, for a bug that must be found. */
  differences(): Promise<number>
  /** From now on this process may end by itself: with what it does is the test's to check. */
  mayEnd(child: ServiceChild): Promise<Ended>
}

export interface ClusterOptions {
  readonly broker?: BrokerOptions
  readonly partitions?: number
}

class RunningCluster implements Cluster {
  readonly place: TestDatabase
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  readonly #variables: Readonly<Record<string, string>>
  readonly #checker: Awaited<ReturnType<typeof createChecker>>
  readonly #children = new Map<ServiceChild, string>()
  readonly #fallen = new Map<ServiceChild, string>()
  #count = 0

  constructor(
    place: TestDatabase,
    broker: KafkaBroker,
    checker: Awaited<ReturnType<typeof createChecker>>,
    partitions: number,
  ) {
    this.place = place
    this.broker = broker
    this.#checker = checker
    this.#variables = {
      KAFKA_BROKERS: broker.brokers,
      KAFKA_PREFIX: place.name,
      KAFKA_PARTITIONS: String(partitions),
    }
    const settings = readKafkaSettings(this.#variables)
    if (settings === null) throw new TypeError('KAFKA_BROKERS is not set')
    this.settings = settings
  }

  start(parts: readonly Part[], { faults, sessionTimeoutMs = SESSION_TIMEOUT_MS, brokers }: StartOptions = {}) {
    this.#count += 1
    const owner = `${parts[0] === 'capture' ? 'capture' : 'worker'} ${this.#count}`
    const variables = brokers === undefined ? this.#variables : { ...this.#variables, KAFKA_BROKERS: brokers }
    const child = startSharedChild(this.place, variables, { parts, owner, sessionTimeoutMs }, faults)
    this.#children.set(child, owner)
    void child.ended.then(({ error }) => {
      if (error !== null) this.#fallen.set(child, `${owner}: ${error.code} ${error.message}`)
    })
    return child
  }

  mayEnd(child: ServiceChild): Promise<Ended> {
    return child.ended.finally(() => this.#fallen.delete(child))
  }

  async calm(): Promise<void> {
    try {
      const { url } = this.place
      await waitUntilReflected({ url, timeoutMs: PATIENCE_MS, signal: new AbortController().signal })
    } catch (cause) {
      throw new Error(`Nothing came to rest:\n${await this.#described()}`, { cause })
    }
  }

  async check(after: string): Promise<void> {
    await this.calm()
    const { differences, entities, classifications } = await this.#checker.check(this.place)
    expect(differences, `after ${after}:\n${await this.#described()}`).toEqual([])
    expect(entities, after).toBeGreaterThan(20)
    expect(classifications, after).toBeGreaterThan(10)
    expect(await historyFaults(this.place.pool), after).toEqual([])
    expect([...this.#fallen.values()], after).toEqual([])
  }

  async differences(): Promise<number> {
    await this.calm()
    return (await this.#checker.check(this.place)).differenceCount
  }

  async #described(): Promise<string> {
    const { rows } = await this.place.pool.query<{ line: string }>(
      `select concat_ws(' ', stage, topic, partition, lsn, next_offset, reflected_lsn, withheld, owner, moved_at) as line
       from rescore.stage_position order by stage, reflected_lsn, topic, partition limit 40`,
    )
    const complaints = [...this.#children].flatMap(([{ failures }, owner]) =>
      failures.slice(-3).map((failure) => `${owner}: ${failure.slice(0, 300)}`),
    )
    return [...this.#fallen.values(), ...complaints, ...rows.map(({ line }) => line)].join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#children.keys()].map((child) => child[Symbol.asyncDispose]()))
    await this.#checker[Symbol.asyncDispose]()
    await this.broker[Symbol.asyncDispose]()
    await this.place[Symbol.asyncDispose]()
  }
}

export async function startCluster(label: string, options: ClusterOptions = {}): Promise<Cluster> {
  const { settings, ...rest } = options.broker ?? {}
  const broker = await startBroker({ ...rest, settings: { 'group.min.session.timeout.ms': '1000', ...settings } })
  const place = await createTestDatabase(label)
  await createProject(place.pool)
  return new RunningCluster(place, broker, await createChecker(), options.partitions ?? 4)
}
