/**
 * The topics where a Debezium connector writes them: theirs, so they are looked at and not brought in line.
 *
 * Invariant: a start makes and changes none. One that is missing is made only by `rescore topics --apply`, because someone asked
 * for it: the connector makes a topic with its first change, and until then its partitions would be unknown. What of a topic
 * does not matter to a reader (how many partitions, copies, the size of a record) is no difference.
 */
import { RescoreError } from '../../errors.ts'
import { withAdmin } from './admin.ts'
import type { ClientOptions } from './client.ts'
import type { KafkaSettings } from './settings.ts'
import type { Difference } from './topics.ts'
import { reportTopics, type TopicReport } from './topics-admin.ts'

/** What takes changes away before they are read. */
const MATTERS = ['topic', 'cleanup.policy', 'retention.ms', 'retention.bytes']

function asTheirs(difference: Difference): Difference {
  if (difference.what === 'topic') {
    const mend = "rescore topics --apply; or let the connector's first change of the table make it"
    return { ...difference, mend }
  }
  const mend = `kafka-configs.sh --alter --entity-type topics --add-config ${difference.what}=${difference.should}, and the same as topic.creation.default.${difference.what} of the connector`
  return { ...difference, canApply: false, mend }
}

/** What of a topic's differences is one for who only reads it. */
export function theirTopic(report: TopicReport): TopicReport {
  return { ...report, differences: report.differences.filter(({ what }) => MATTERS.includes(what)).map(asTheirs) }
}

function refuse(code: string, message: string, mend: string): RescoreError {
  return new RescoreError({ code, fate: 'stop', message, mend })
}

/**
 * For the start of a process.
 * @param read names of topics that a stage has a position in
 * @returns what differs and was left as it is
 * @throws RescoreError LOG_CONNECT_OFFSETS, LOG_CONNECT_TOPICS, LOG_KAFKA_TOPIC_LOST, LOG_KAFKA_COMPACTED
 */
export async function requireTopics(
  settings: KafkaSettings,
  client: ClientOptions & { readonly signal?: AbortSignal },
  tables: readonly string[],
  read: ReadonlySet<string>,
): Promise<readonly TopicReport[]> {
  const { offsetsTopic } = settings.connect
  return withAdmin(settings, client, "looking at the connector's topics", async (admin) => {
    const reports = (await reportTopics(admin, settings, tables)).map(theirTopic)
    const names = (choose: (report: TopicReport) => boolean) => reports.filter(choose).map(({ spec }) => spec.name)
    const lost = names(({ state, spec }) => state === null && read.has(spec.name))
    if (lost.length > 0) {
      throw refuse(
        'LOG_KAFKA_TOPIC_LOST',
        `Topics that were being read are gone: ${lost.join(', ')}. Changes may have been lost with them.`,
        'Make them again (rescore topics --apply), rescore resync --yes, then start: everything is recomputed.',
      )
    }
    const missing = names(({ state }) => state === null)
    if (missing.length > 0) {
      throw refuse(
        'LOG_CONNECT_TOPICS',
        `The Debezium connector has not written to ${missing.join(', ')}, which is to be read.`,
        'rescore topics --apply makes them; then start again. KAFKA_PREFIX is the topic.prefix of the connector, and its table.include.list names every table, those of features (rescore.features_…) as well.',
      )
    }
    const compacted = names(({ differences }) => differences.some(({ what }) => what === 'cleanup.policy'))
    if (compacted.length > 0) {
      throw refuse(
        'LOG_KAFKA_COMPACTED',
        `Compaction would drop changes before they are read: ${compacted.join(', ')}.`,
        'Set cleanup.policy=delete on them (kafka-configs.sh), and topic.creation.default.cleanup.policy=delete in the connector.',
      )
    }
    if (!(await admin.listTopics()).includes(offsetsTopic)) {
      throw refuse(
        'LOG_CONNECT_OFFSETS',
        `There is no topic '${offsetsTopic}' in which Kafka Connect keeps how far its connectors are.`,
        'Set KAFKA_CONNECT_OFFSETS_TOPIC to offset.storage.topic of the Connect workers. A stand-alone worker keeps offsets in a file: run it in distributed mode, of which one worker is enough.',
      )
    }
    return reports.filter(({ differences }) => differences.length > 0)
  })
}
