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
import { type BrokerOptions, freePort, type KafkaBroker, startBroker } from '../support/kafka/broker.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { createProject } from '../support/project-sql.ts'
import { startProxy, type Proxy as TcpProxy } from '../support/proxy.ts'
import { historyFaults, watchPositions } from './kafka-history.ts'
import type { ServiceOrder } from './orders.ts'
import { type Checker, createChecker } from './running.ts'
import { type Ended, type ServiceChild, startSharedChild } from './service-child.ts'

/** Far beyond what a busy machine needs to find a lost broker again; only a hang reaches it. */
export const PATIENCE_MS = 150_000
/** A process that was killed, or stands still, is missed by its group after this long. */
export const SESSION_TIMEOUT_MS = 4_000
export const SHORT_SESSIONS = { 'group.min.session.timeout.ms': '1000' }
export const WORKER: readonly Part[] = ['recompute', 'score']
export const CAPTURE: readonly Part[] = ['capture']

export interface StartOptions {
  readonly faults?: string
  readonly sessionTimeoutMs?: number
  /** Reaches the broker through the cluster's proxy. */
  readonly isProxied?: boolean
  /** Instead of those of the other processes. */
  readonly variables?: Readonly<Record<string, string>>
  readonly slot?: string
  /** Instead of the test project. */
  readonly project?: ServiceOrder['project']
}

export interface Cluster extends AsyncDisposable {
  readonly place: TestDatabase
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  /** Between the broker and the processes that are started so; all others reach it directly. */
  readonly proxy: TcpProxy
  start(parts: readonly Part[], options?: StartOptions): ServiceChild
  /** Waits until everything is reflected. @throws with what every process last complained of */
  calm(): Promise<void>
  /** At rest: everything is reflected, nothing differs from a recompute, nothing went back, nobody fell over. */
  check(after: string): Promise<void>
  /** What of that is not so but the last, counted: for a bug that must be found. */
  faults(): Promise<number>
  /** From now on this process may end by itself: with what it does is the test's to check. */
  mayEnd(child: ServiceChild): Promise<Ended>
  /** Whether this process has committed a batch since. */
  hasWorked(child: ServiceChild, since: Date): Promise<boolean>
  holdsRole(child: ServiceChild, role: string): Promise<boolean>
}

export interface ClusterOptions {
  readonly broker?: BrokerOptions
  readonly partitions?: number
}

interface Parts {
  readonly place: TestDatabase
  readonly broker: KafkaBroker
  readonly checker: Checker
  /** Null: the broker is somebody else's, and stays. */
  readonly proxy: TcpProxy | null
}

class RunningCluster implements Cluster {
  readonly place: TestDatabase
  readonly broker: KafkaBroker
  readonly settings: KafkaSettings
  readonly #proxy: TcpProxy | null
  readonly #variables: Readonly<Record<string, string>>
  readonly #checker: Checker
  readonly #children = new Map<ServiceChild, string>()
  readonly #fallen = new Map<ServiceChild, string>()

  constructor({ place, broker, proxy, checker }: Parts, partitions: number) {
    this.place = place
    this.broker = broker
    this.#proxy = proxy
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

  get proxy(): TcpProxy {
    if (this.#proxy === null) throw new TypeError('a broker without a proxy')
    return this.#proxy
  }

  start(parts: readonly Part[], options: StartOptions = {}): ServiceChild {
    const { faults, sessionTimeoutMs = SESSION_TIMEOUT_MS, isProxied = false, variables, slot, project } = options
    const owner = `${parts[0] === 'capture' ? 'capture' : 'worker'} ${this.#children.size + 1}`
    const proxied = isProxied ? { KAFKA_BROKERS: `127.0.0.1:${this.proxy.port}` } : {}
    const kafka = { ...this.#variables, ...proxied, ...variables }
    const child = startSharedChild(this.place, kafka, { parts, owner, sessionTimeoutMs, slot }, faults, project)
    this.#children.set(child, owner)
    void child.ended.then(({ error }) => {
      if (error !== null) this.#fallen.set(child, `${owner}: ${error.code} ${error.message}`)
    })
    return child
  }

  mayEnd(child: ServiceChild): Promise<Ended> {
    return child.ended.finally(() => this.#fallen.delete(child))
  }

  async hasWorked(child: ServiceChild, since: Date): Promise<boolean> {
    const { rows } = await this.place.query(
      `select from rescore.stage_position where topic <> '' and owner = $1 and moved_at > $2`,
      [this.#children.get(child), since.toISOString()],
    )
    return rows.length > 0
  }

  async holdsRole({ pid }: ServiceChild, role: string): Promise<boolean> {
    const { rows } = await this.place.query(
      `select from pg_stat_activity a join pg_locks l using (pid)
       where a.datname = current_database() and a.application_name like format('rescore %s, process %s on %%', $1::text, $2::text)
         and l.locktype = 'advisory' and l.granted`,
      [role, pid],
    )
    return rows.length > 0
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

  async faults(): Promise<number> {
    await this.calm()
    const { differenceCount } = await this.#checker.check(this.place)
    return differenceCount + (await historyFaults(this.place.pool)).length
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
    if (this.#proxy !== null) {
      await this.#proxy[Symbol.asyncDispose]()
      await this.broker[Symbol.asyncDispose]()
    }
    await this.place[Symbol.asyncDispose]()
  }
}

async function clusterOn(broker: KafkaBroker, proxy: TcpProxy | null, label: string, partitions = 4): Promise<Cluster> {
  const place = await createTestDatabase(label)
  await createProject(place.pool)
  await watchPositions(place.pool)
  return new RunningCluster({ place, broker, proxy, checker: await createChecker() }, partitions)
}

export async function startCluster(label: string, options: ClusterOptions = {}): Promise<Cluster> {
  const { settings, ...rest } = options.broker ?? {}
  const target = await freePort()
  const proxy = await startProxy(target)
  const proxied = { target, port: proxy.port }
  const broker = await startBroker({ ...rest, proxied, settings: { ...SHORT_SESSIONS, ...settings } })
  return clusterOn(broker, proxy, label, options.partitions)
}

/** On a broker that outlives it, without a proxy. */
export function startClusterOn(broker: KafkaBroker, label: string, options: ClusterOptions = {}): Promise<Cluster> {
  return clusterOn(broker, null, label, options.partitions)
}
