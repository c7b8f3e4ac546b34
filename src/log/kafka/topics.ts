/**
 * The topics that should be, and what it means when they are otherwise. Pure: topics-admin.ts asks and acts.
 *
 * Invariants: one topic per captured table; a setting that is safer than asked for is no difference; what cannot be set
 * right without moving or removing records (the number of partitions, copies) is only told, never done.
 */
import { RescoreError } from '../../errors.ts'
import type { KafkaSettings } from './settings.ts'

/** Room for rows larger than Kafka's 1 MiB; a publish of ours stays below it for each partition. */
export const MAX_MESSAGE_BYTES = 8_388_608
const MAX_NAME_LENGTH = 249
const COPIES = 3

export interface TopicSpec {
  readonly name: string
  /** `schema.name` */
  readonly table: string
  readonly partitions: number
  readonly replication: number
  readonly config: Readonly<Record<string, string>>
}

export interface TopicState {
  readonly partitions: number
  /** Copies of the partition that has the fewest. */
  readonly replication: number
  /** Copies that are up to date, of the partition that has the fewest; 0: one has no leader. */
  readonly inSync: number
  /** Every setting in force, by name. */
  readonly config: Readonly<Record<string, string>>
  /** Those set on the topic itself. */
  readonly own: Readonly<Record<string, string>>
}

export interface Difference {
  /** `topic`, `partitions`, `replication` or the name of a setting. */
  readonly what: string
  readonly should: string
  readonly is: string
  /** Set by `rescore topics --apply`. */
  readonly canApply: boolean
  readonly mend: string
}

/** @throws RescoreError LOG_KAFKA_TOPIC_NAME when Kafka cannot hold the name */
export function topicName(prefix: string, table: string): string {
  const name = `${prefix}.${table}`
  if (/^[A-Za-z0-9._-]+$/.test(name) && name.length <= MAX_NAME_LENGTH) return name
  throw new RescoreError({
    code: 'LOG_KAFKA_TOPIC_NAME',
    fate: 'stop',
    message: `Table ${table} cannot have a topic: Kafka takes A-Z, a-z, 0-9, ., _ and -, at most ${MAX_NAME_LENGTH} of them.`,
    mend: 'Rename the table, or let features read a view-like copy with another name.',
    context: { table },
  })
}

/** The consumer group that shares the work of a stage. */
export const groupId = (prefix: string, stage: string): string => `${prefix}.${stage}`

/** Writes wait for two copies where there are three, so that one broker can be lost at any time and nothing with it. */
const leastInSync = (replication: number) => (replication >= COPIES ? replication - 1 : 1)

/**
 * @param tables `schema.name` of every captured table
 * @param brokers how many there are
 * @throws RescoreError LOG_KAFKA_TOPIC_NAME also when two names are one to Kafka's metrics, which refuses the second
 */
export function topicSpecs(settings: KafkaSettings, tables: readonly string[], brokers: number): readonly TopicSpec[] {
  const { prefix, partitions, retentionMs } = settings
  const replication = settings.replication ?? Math.min(COPIES, brokers)
  const taken = new Map<string, string>()
  return tables.toSorted().map((table) => {
    const name = topicName(prefix, table)
    const metric = name.replaceAll('.', '_')
    const other = taken.get(metric)
    taken.set(metric, table)
    if (other !== undefined) {
      throw new RescoreError({
        code: 'LOG_KAFKA_TOPIC_NAME',
        fate: 'stop',
        message: `Tables ${other} and ${table} cannot both have a topic: Kafka takes '.' and '_' for the same.`,
        mend: 'Rename one of the two.',
        context: { table, other },
      })
    }
    return {
      name,
      table,
      partitions,
      replication,
      config: {
        'cleanup.policy': 'delete',
        'retention.ms': String(retentionMs),
        'retention.bytes': '-1',
        'min.insync.replicas': String(leastInSync(replication)),
        'max.message.bytes': String(MAX_MESSAGE_BYTES),
      },
    }
  })
}

/** Kafka's -1 is "no limit". */
const limit = (text: string) => (Number(text) === -1 ? Number.POSITIVE_INFINITY : Number(text))

function isGoodEnough(setting: string, should: string, is: string, replication: number): boolean {
  if (setting === 'retention.ms' || setting === 'retention.bytes' || setting === 'max.message.bytes') {
    return limit(is) >= limit(should)
  }
  // As many as there are copies would let the loss of one broker stop all writing.
  if (setting === 'min.insync.replicas') {
    return Number(is) >= Number(should) && Number(is) <= Math.max(Number(should), replication - 1)
  }
  return is === should
}

/** Least mend: none of these moves or removes a record. */
export function compareTopic(spec: TopicSpec, state: TopicState | null): readonly Difference[] {
  const apply = 'rescore topics --apply'
  if (state === null) return [{ what: 'topic', should: 'exists', is: 'missing', canApply: true, mend: apply }]
  const differences: Difference[] = []
  if (state.partitions !== spec.partitions) {
    differences.push({
      what: 'partitions',
      should: String(spec.partitions),
      is: String(state.partitions),
      canApply: false,
      mend:
        'Not done for you: another number moves keys to other partitions, and the order of their changes is lost. ' +
        `Keep it with KAFKA_PARTITIONS=${state.partitions}, or start over under another KAFKA_PREFIX.`,
    })
  }
  if (state.replication < spec.replication) {
    differences.push({
      what: 'replication',
      should: String(spec.replication),
      is: String(state.replication),
      canApply: false,
      mend: `Add copies with kafka-reassign-partitions.sh, or accept them with KAFKA_REPLICATION=${state.replication}.`,
    })
  }
  for (const [setting, should] of Object.entries(spec.config)) {
    const is = state.config[setting] ?? 'unknown'
    if (isGoodEnough(setting, should, is, state.replication)) continue
    differences.push({ what: setting, should, is, canApply: true, mend: apply })
  }
  return differences
}
