/**
 * What is wrong with the Kafka side of a set-up, and the mend for each.
 * Invariant: read-only: no topic, no group and no record is made; each check stands alone, except that nothing is asked
 * of a cluster that cannot be reached.
 */
import type { Admin } from 'kafkajs'
import type { CapturedBy } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import { withAdmin } from '../log/kafka/admin.ts'
import { missingVersions, readApiVersions } from '../log/kafka/api-versions.ts'
import { theirTopic } from '../log/kafka/connect-topics.ts'
import { kafkaError } from '../log/kafka/errors.ts'
import type { KafkaSettings } from '../log/kafka/settings.ts'
import { groupId } from '../log/kafka/topics.ts'
import { reportTopics, type TopicReport } from '../log/kafka/topics-admin.ts'
import type { Problem } from './doctor.ts'

export interface KafkaDoctorOptions {
  readonly settings: KafkaSettings
  /** `schema.name` of every table with a topic. */
  readonly tables: readonly string[]
  /** Names of the stages that worker processes share. */
  readonly stages: readonly string[]
  /** Who writes the topics. Default: Rescore. */
  readonly writer?: CapturedBy | undefined
  readonly signal: AbortSignal
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

const HOUR_MS = 3_600_000
/** Less is the ordinary difference between machines that keep their clocks. */
const SKEW_MS = 5_000
const APPLY = 'rescore topics --apply'

type Context = Required<Omit<KafkaDoctorOptions, 'writer'>> & {
  readonly admin: Admin
  readonly topics: readonly TopicReport[]
}
type Check = (context: Context) => Promise<readonly Problem[]> | readonly Problem[]

const hours = (ms: number) => `${(ms / HOUR_MS).toFixed(1)} h`
const names = (reports: readonly TopicReport[]) => reports.map(({ spec }) => spec.name).join(', ')

export function loginProblems({ settings }: Pick<KafkaDoctorOptions, 'settings'>): readonly Problem[] {
  const isOpen = settings.tls === null && ['plain', 'oauthbearer'].includes(settings.sasl?.mechanism ?? '')
  if (!isOpen) return []
  const message = `KAFKA_SASL=${settings.sasl?.mechanism} without TLS sends the secret in clear text.`
  return [{ check: 'kafka login', message, mend: 'Set KAFKA_TLS=true and the TLS port of the brokers.' }]
}

const versions: Check = async ({ admin, settings, signal }) => {
  const { brokers } = await admin.describeCluster()
  const problems: Problem[] = []
  for (const { nodeId, host, port } of brokers) {
    const missing = missingVersions(await readApiVersions(settings, { host, port }, signal))
    if (missing.length === 0) continue
    problems.push({
      check: 'kafka versions',
      message: `Broker ${nodeId} (${host}:${port}): ${missing.join('; ')}.`,
      mend: 'Run brokers of Kafka 2.1 or newer; 3.9 and 4.4 are tested.',
    })
  }
  return problems
}

/** One problem for all topics that differ in the same way. */
const declared: Check = ({ topics }) => {
  const groups = new Map<string, { topics: string[]; problem: Omit<Problem, 'check'> }>()
  for (const { spec, differences } of topics) {
    for (const { what, should, is, mend } of differences) {
      const said = what === 'topic' ? 'does not exist' : `has ${what} ${is}, not ${should}`
      const group = groups.get(said) ?? { topics: [], problem: { message: said, mend } }
      group.topics.push(spec.name)
      groups.set(said, group)
    }
  }
  return [...groups.values()].map(({ topics: which, problem }) => ({
    check: 'kafka topics',
    message: `${which.join(', ')}: ${problem.message}.`,
    mend: problem.mend,
  }))
}

/** Writes wait for all copies in sync (acks = all): how many that must be, and how many there are. */
export function copyProblems({ topics }: { readonly topics: readonly TopicReport[] }): readonly Problem[] {
  const present = topics.flatMap((report) => (report.state === null ? [] : [{ report, state: report.state }]))
  const least = (config: Readonly<Record<string, string>>) => Number(config['min.insync.replicas'] ?? 1)
  const of = (choose: (entry: (typeof present)[number]) => boolean) =>
    present.filter(choose).map(({ report }) => report)
  const problems: Problem[] = []
  const add = (reports: readonly TopicReport[], message: string, mend: string) => {
    if (reports.length > 0) problems.push({ check: 'kafka copies', message: `${names(reports)}: ${message}`, mend })
  }
  add(
    of(({ state }) => state.inSync < least(state.config)),
    'fewer copies are in sync than a write needs, so capture waits.',
    'Bring the missing brokers back (docs/kafka.md, "When a broker is lost").',
  )
  add(
    of(({ state }) => state.inSync >= least(state.config) && state.inSync < state.replication),
    'a copy is missing or behind; one more lost broker may stop writing.',
    'Bring the missing broker back.',
  )
  add(
    of(({ state }) => state.replication > 1 && least(state.config) < 2),
    'a write is acknowledged by one broker alone, and is lost with it.',
    `${APPLY} sets min.insync.replicas (with three copies)`,
  )
  add(
    of(({ state }) => state.config['unclean.leader.election.enable'] === 'true'),
    'a broker that missed acknowledged changes may become the leader.',
    'kafka-configs.sh --alter --add-config unclean.leader.election.enable=false on these topics.',
  )
  return problems
}

const retention: Check = ({ topics, settings }) => {
  const { longestOutageMs, retentionMs } = settings
  const problems: Problem[] = []
  const kept = (report: TopicReport) => {
    const value = Number(report.state?.config['retention.ms'] ?? -1)
    return value < 0 ? Number.POSITIVE_INFINITY : value
  }
  const short = topics.filter((report) => kept(report) < longestOutageMs)
  if (short.length > 0) {
    problems.push({
      check: 'kafka retention',
      message: `${names(short)}: changes are kept for ${hours(Math.min(...short.map(kept)))}; a worker that is away for longer loses some, and ${hours(longestOutageMs)} must be survived (KAFKA_LONGEST_OUTAGE_HOURS).`,
      mend:
        retentionMs < longestOutageMs
          ? `Raise KAFKA_RETENTION_HOURS above KAFKA_LONGEST_OUTAGE_HOURS, then ${APPLY}`
          : APPLY,
    })
  }
  return problems
}

/** A record from the future tells that the clocks of its writer and of this machine are apart. */
const clock: Check = async ({ admin, topics, now }) => {
  const ahead: TopicReport[] = []
  for (const report of topics) {
    if (report.state === null) continue
    const { name } = report.spec
    const ends = new Map((await admin.fetchTopicOffsets(name)).map(({ partition, high }) => [partition, BigInt(high)]))
    const later = await admin.fetchTopicOffsetsByTimestamp(name, now() + SKEW_MS)
    if (later.some(({ partition, offset }) => BigInt(offset) < (ends.get(partition) ?? 0n))) ahead.push(report)
  }
  if (ahead.length === 0) return []
  return [
    {
      check: 'kafka clock',
      message: `${names(ahead)}: has records from more than ${SKEW_MS / 1_000} s in the future, so lag is not what it is said to be.`,
      mend: 'Set the clocks of PostgreSQL, capture and this machine (chrony, ntpd).',
    },
  ]
}

const groups: Check = async ({ admin, settings, stages }) => {
  const wanted = stages.map((stage) => groupId(settings.prefix, stage))
  const existing = new Set((await admin.listGroups()).groups.map((group) => group.groupId))
  const present = wanted.filter((id) => existing.has(id))
  const described = present.length === 0 ? [] : (await admin.describeGroups(present)).groups
  const manned = new Set(described.filter(({ members }) => members.length > 0).map((group) => group.groupId))
  return stages.flatMap((stage) => {
    const id = groupId(settings.prefix, stage)
    if (manned.has(id)) return []
    const message = `No process works on stage '${stage}' (group ${id} has no members).`
    return [{ check: 'kafka groups', message, mend: `rescore start --stages ${stage}` }]
  })
}

const CHECKS: readonly (readonly [string, Check])[] = [
  ['kafka login', loginProblems],
  ['kafka versions', versions],
  ['kafka topics', declared],
  ['kafka copies', copyProblems],
  ['kafka retention', retention],
  ['kafka clock', clock],
  ['kafka groups', groups],
]

/** What concerns only who writes the topics. */
const OF_A_WRITER = ['kafka copies', 'kafka retention']

function asProblem(check: string, error: unknown): Problem {
  const known = isRescoreError(error) ? error : kafkaError(asError(error), check)
  return { check, message: known.message, mend: known.mend }
}

export async function examineKafka(options: KafkaDoctorOptions): Promise<readonly Problem[]> {
  const { settings, tables, signal, writer, now = Date.now } = options
  const log = { warn: () => undefined }
  try {
    await withAdmin(
      settings,
      { log, role: 'doctor', patience: 'command', signal },
      'looking for the brokers',
      (admin) => admin.describeCluster(),
    )
    const patient = { log, role: 'doctor', patience: 'service', signal } as const
    return await withAdmin(settings, patient, 'looking at the topics', async (admin) => {
      const found = await reportTopics(admin, settings, tables)
      const isTheirs = writer === 'debezium'
      const topics = isTheirs ? found.map(theirTopic) : found
      const problems: Problem[] = []
      for (const [name, check] of CHECKS) {
        if (isTheirs && OF_A_WRITER.includes(name)) continue
        try {
          problems.push(...(await check({ ...options, now, admin, topics })))
        } catch (error) {
          problems.push(asProblem(name, error))
        }
      }
      return problems
    })
  } catch (error) {
    signal.throwIfAborted()
    return [asProblem('kafka', error)]
  }
}
