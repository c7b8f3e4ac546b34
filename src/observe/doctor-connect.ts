/**
 * What Kafka Connect says of the Debezium connector: its settings and its task, where KAFKA_CONNECT_URL says where to ask.
 * Invariant: read-only; of the connector's settings, which hold secrets, only those that are checked here are ever shown.
 */
import { RescoreError } from '../errors.ts'
import type { KafkaSettings } from '../log/kafka/settings.ts'
import type { Problem } from './doctor.ts'

export type ConnectorSettings = Readonly<Record<string, string>>

export interface ConnectorWanted {
  /** `topic.prefix` */
  readonly prefix: string
  readonly slot: string
  readonly publication: string
  /** `schema.name` of every table whose changes must come through. */
  readonly tables: readonly string[]
}

const CHECK = 'debezium settings'
const ANSWER_WITHIN_MS = 10_000

/** Whether a list of Debezium's, regular expressions of whole names, names it; undefined: it cannot be told here. */
function names(list: string, name: string): boolean | undefined {
  try {
    return list.split(',').some((pattern) => new RegExp(`^(?:${pattern.trim()})$`, 'i').test(name))
  } catch {
    // Java's regular expressions know what JavaScript's do not.
    return undefined
  }
}

function leftOut(settings: ConnectorSettings, tables: readonly string[]): readonly string[] {
  const included = (list: string | undefined, name: string) => list === undefined || names(list, name) !== false
  const excluded = (list: string | undefined, name: string) => list !== undefined && names(list, name) === true
  return tables.filter((table) => {
    const [schema = ''] = table.split('.')
    return (
      !included(settings['table.include.list'], table) ||
      excluded(settings['table.exclude.list'], table) ||
      !included(settings['schema.include.list'], schema) ||
      excluded(settings['schema.exclude.list'], schema)
    )
  })
}

/** Pure. */
export function settingProblems(settings: ConnectorSettings, wanted: ConnectorWanted): readonly Problem[] {
  const problems: Problem[] = []
  const add = (message: string, mend: string) => problems.push({ check: CHECK, message, mend })
  const asConfigured = (setting: string, shipped: string | undefined, variable: string, value: string) => {
    const is = settings[setting] ?? shipped ?? 'not set'
    if (is !== value) add(`${setting} is ${is}; ${variable} is ${value}.`, `Set ${variable}=${is}, or the connector's.`)
  }
  asConfigured('topic.prefix', undefined, 'KAFKA_PREFIX', wanted.prefix)
  asConfigured('slot.name', 'debezium', 'RESCORE_SLOT', wanted.slot)
  asConfigured('publication.name', 'dbz_publication', 'RESCORE_PUBLICATION', wanted.publication)
  const missing = leftOut(settings, wanted.tables)
  if (missing.length > 0) {
    add(`The connector leaves out ${missing.join(', ')}.`, 'Name every table in table.include.list.')
  }
  // As shipped it leaves truncates out.
  const skipped = (settings['skipped.operations'] ?? 't').split(',').map((one) => one.trim())
  if (skipped.some((operation) => operation !== 'none')) {
    add(`The connector leaves out changes: skipped.operations is ${skipped.join(',')}.`, 'Set skipped.operations=none.')
  }
  if (!(Number(settings['heartbeat.interval.ms'] ?? 0) > 0)) {
    add('The connector says how far it is only with the next change.', 'Set heartbeat.interval.ms=1000.')
  }
  const transforms = (settings.transforms ?? '').split(',').map((name) => name.trim())
  const unwrapping = transforms.find((name) => settings[`transforms.${name}.type`]?.includes('ExtractNewRecordState'))
  if (unwrapping !== undefined) {
    add(`The transform '${unwrapping}' takes the old values out of every change.`, 'Leave ExtractNewRecordState out.')
  }
  return problems
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function ask(url: URL, path: string, signal: AbortSignal): Promise<unknown> {
  const { origin, pathname, username, password } = url
  const headers: Record<string, string> = {}
  if (username !== '') {
    const login = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    headers.authorization = `Basic ${Buffer.from(login).toString('base64')}`
  }
  const failed = (reason: string, cause?: unknown) =>
    new RescoreError({
      code: 'KAFKA_CONNECT_ANSWER',
      fate: 'stop',
      message: `Kafka Connect at ${origin} does not say ${path}: ${reason}.`,
      mend: 'Check KAFKA_CONNECT_URL and KAFKA_CONNECT_CONNECTOR, or unset the first: then its settings are not checked.',
      cause,
    })
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_WITHIN_MS)])
    const answer = await fetch(`${origin}${pathname.replace(/\/$/, '')}${path}`, { headers, signal: within })
    if (!answer.ok) throw failed(`status ${answer.status}`)
    return await answer.json()
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof RescoreError ? error : failed('it does not answer', error)
  }
}

function taskProblems(name: string, status: unknown): readonly Problem[] {
  const tasks = isRecord(status) && Array.isArray(status.tasks) ? status.tasks.filter(isRecord) : []
  const [task] = tasks
  if (task?.state === 'RUNNING') return []
  // Its first line says what happened; below is where in Java's code.
  const reason = typeof task?.trace === 'string' ? `: ${task.trace.split('\n')[0]}` : ''
  const message = `The task of connector '${name}' is ${String(task?.state ?? 'not there')}${reason}.`
  return [
    { check: 'debezium task', message, mend: `POST …/connectors/${name}/tasks/0/restart once the cause is mended.` },
  ]
}

/** Nothing where Connect's address is not known. @throws RescoreError KAFKA_CONNECT_ANSWER */
export async function examineConnect(
  { connect, prefix }: KafkaSettings,
  wanted: Omit<ConnectorWanted, 'prefix'>,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const { connector } = connect
  if (connect.url === null || connector === null) return []
  const url = new URL(connect.url.reveal())
  const path = `/connectors/${encodeURIComponent(connector)}`
  const settings = await ask(url, `${path}/config`, signal)
  const texts = Object.entries(isRecord(settings) ? settings : {}).map(([name, value]) => [name, String(value)])
  return [
    ...settingProblems(Object.fromEntries(texts), { ...wanted, prefix }),
    ...taskProblems(connector, await ask(url, `${path}/status`, signal)),
  ]
}
