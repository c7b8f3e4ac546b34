/**
 * Asks the cluster for its topics and brings them in line with topics.ts.
 *
 * Invariants: nothing is deleted or made smaller; the settings a topic already has are kept, because Kafka's AlterConfigs
 * resets whatever is not named; two processes may do this at once. A crash leaves some topics done, and the next run does
 * the rest.
 */
import type { Admin, ITopicMetadata } from 'kafkajs'
import { retry } from '../../db/backoff.ts'
import { RescoreError } from '../../errors.ts'
import { withAdmin } from './admin.ts'
import { type ClientOptions, ConfigResourceTypes } from './client.ts'
import { kafkaError } from './errors.ts'
import type { KafkaSettings } from './settings.ts'
import { topicLost } from './topic-watch.ts'
import { compareTopic, type Difference, type TopicSpec, type TopicState, topicSpecs } from './topics.ts'

export interface TopicReport {
  readonly spec: TopicSpec
  /** Null: there is no such topic. */
  readonly state: TopicState | null
  readonly differences: readonly Difference[]
}

/** `configSource` of a setting made on the topic itself. */
const TOPIC_CONFIG = 1
const UNKNOWN_TOPIC_ATTEMPTS = 12
const CREATE_TIMEOUT_MS = 15_000

type Described = Awaited<ReturnType<Admin['describeConfigs']>>['resources'][number]

function stateOf(metadata: ITopicMetadata, described: Described): TopicState {
  const entries = described.configEntries
  const own = entries.filter(({ configSource }) => Number(configSource) === TOPIC_CONFIG)
  const asRecord = (list: typeof entries) =>
    Object.fromEntries(list.map(({ configName, configValue }) => [configName, configValue]))
  return {
    partitions: metadata.partitions.length,
    replication: Math.min(...metadata.partitions.map(({ replicas }) => replicas.length)),
    inSync: Math.min(...metadata.partitions.map(({ leader, isr }) => (leader < 0 ? 0 : isr.length))),
    config: asRecord(entries),
    own: asRecord(own),
  }
}

/** What is there, by name; topics that are not are left out. */
export async function describeTopics(admin: Admin, names: readonly string[]): Promise<ReadonlyMap<string, TopicState>> {
  const existing = new Set(await admin.listTopics())
  const present = names.filter((name) => existing.has(name))
  if (present.length === 0) return new Map()
  const { topics } = await admin.fetchTopicMetadata({ topics: present })
  const { resources } = await admin.describeConfigs({
    resources: present.map((name) => ({ type: ConfigResourceTypes.TOPIC, name })),
    includeSynonyms: false,
  })
  const states = new Map<string, TopicState>()
  for (const metadata of topics) {
    const described = resources.find(({ resourceName }) => resourceName === metadata.name)
    if (described !== undefined) states.set(metadata.name, stateOf(metadata, described))
  }
  return states
}

const ONCE_KNOWN = {
  attempts: UNKNOWN_TOPIC_ATTEMPTS,
  isRetriable: (error: unknown) => kafkaError(error, 'describing topics').code === 'LOG_KAFKA_UNKNOWN_TOPIC',
}

/** @param tables `schema.name` of every captured table */
export async function reportTopics(
  admin: Admin,
  settings: KafkaSettings,
  tables: readonly string[],
): Promise<readonly TopicReport[]> {
  const { brokers } = await admin.describeCluster()
  const specs = topicSpecs(settings, tables, brokers.length)
  // A topic made a moment ago may be listed by one broker and unknown to the next.
  const names = specs.map(({ name }) => name)
  const states = await retry(() => describeTopics(admin, names), ONCE_KNOWN)
  return specs.map((spec) => {
    const state = states.get(spec.name) ?? null
    return { spec, state, differences: compareTopic(spec, state) }
  })
}

const asEntries = (config: Readonly<Record<string, string>>) =>
  Object.entries(config).map(([name, value]) => ({ name, value }))

async function create(admin: Admin, { name, partitions, replication, config }: TopicSpec): Promise<void> {
  const topic = {
    topic: name,
    numPartitions: partitions,
    replicationFactor: replication,
    configEntries: asEntries(config),
  }
  const request = { topics: [topic], waitForLeaders: true, timeout: CREATE_TIMEOUT_MS }
  // Made, and asked of a broker that has not heard of it yet; to make it again does nothing.
  await retry(() => admin.createTopics(request), ONCE_KNOWN)
}

async function alter(admin: Admin, { spec, state, differences }: TopicReport): Promise<void> {
  const changes = differences.filter(({ what, canApply }) => canApply && what in spec.config)
  if (state === null || changes.length === 0) return
  const wanted = Object.fromEntries(changes.map(({ what, should }) => [what, should]))
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      { type: ConfigResourceTypes.TOPIC, name: spec.name, configEntries: asEntries({ ...state.own, ...wanted }) },
    ],
  })
}

/**
 * Creates what is missing and sets what can be set.
 * @throws RescoreError LOG_KAFKA_* naming the topic
 */
export async function applyTopics(admin: Admin, reports: readonly TopicReport[]): Promise<void> {
  for (const report of reports) {
    const { spec, state } = report
    try {
      if (state === null) await create(admin, spec)
      else await alter(admin, report)
    } catch (error) {
      const doing = `${state === null ? 'creating' : 'changing'} topic ${spec.name}`
      throw kafkaError(error, doing, { topic: spec.name })
    }
  }
}

/**
 * For the start of a process: missing topics are made, and the rest is as it should be or said.
 * @param read names of topics that a stage has a position in: one of these that is missing was deleted with its changes
 * @returns what differs and was left as it is
 * @throws RescoreError LOG_KAFKA_TOPIC_LOST; LOG_KAFKA_COMPACTED when Kafka may drop changes before they are read
 */
export async function ensureTopics(
  settings: KafkaSettings,
  client: ClientOptions & { readonly signal?: AbortSignal },
  tables: readonly string[],
  read: ReadonlySet<string> = new Set(),
): Promise<readonly TopicReport[]> {
  return withAdmin(settings, client, 'bringing the topics in line', async (admin) => {
    const found = await reportTopics(admin, settings, tables)
    const missing = found.filter(({ state }) => state === null)
    const lost = missing.filter(({ spec }) => read.has(spec.name)).map(({ spec }) => spec.name)
    if (lost.length > 0) throw topicLost(lost)
    await applyTopics(admin, missing)
    const reports = missing.length === 0 ? found : await reportTopics(admin, settings, tables)
    const compacted = reports.filter(({ differences }) => differences.some(({ what }) => what === 'cleanup.policy'))
    if (compacted.length > 0) {
      const names = compacted.map(({ spec }) => spec.name)
      throw new RescoreError({
        code: 'LOG_KAFKA_COMPACTED',
        fate: 'stop',
        message: `Compaction would drop changes before they are read: ${names.join(', ')}.`,
        mend: 'rescore topics --apply sets cleanup.policy=delete.',
        context: { topics: names },
      })
    }
    return reports.filter(({ differences }) => differences.length > 0)
  })
}
