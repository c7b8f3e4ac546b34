/** `rescore topics`: the topics that should be, that are, and what differs; exit 3 while anything differs. */
import type { Command } from 'commander'
import type { Admin } from 'kafkajs'
import { loadProject } from '../config.ts'
import { RescoreError } from '../errors.ts'
import { capturedTables } from '../graph/captured-tables.ts'
import { compileGraph } from '../graph/compile.ts'
import { withAdmin } from '../log/kafka/admin.ts'
import { theirTopic } from '../log/kafka/connect-topics.ts'
import { type KafkaSettings, readKafkaSettings } from '../log/kafka/settings.ts'
import { applyTopics, reportTopics, type TopicReport } from '../log/kafka/topics-admin.ts'
import { isByDebezium } from '../shared-stages.ts'
import { type Common, command } from './command.ts'
import { EXIT } from './exit.ts'
import { print, printJson, table } from './output.ts'

interface TopicsOptions extends Common {
  readonly apply?: boolean
}

function settingsOrRefuse(): KafkaSettings {
  const settings = readKafkaSettings(process.env)
  if (settings !== null) return settings
  throw new RescoreError({
    code: 'CONFIG_KAFKA',
    fate: 'stop',
    message: 'KAFKA_BROKERS is not set: changes stay in this process, and there are no topics.',
    mend: 'Set it to the brokers as host:port,host:port; or try `npm run dev:kafka`, which starts one.',
  })
}

function rowsOf({ spec, state, differences }: TopicReport): readonly (readonly string[])[] {
  const shape = (partitions: number, replication: number) => `${partitions} partitions × ${replication}`
  const should = shape(spec.partitions, spec.replication)
  const is = state === null ? 'missing' : shape(state.partitions, state.replication)
  const differs = differences
    .filter(({ what }) => what !== 'topic')
    .map(({ what, should, is }) => `${what} ${is} → ${should}`)
  return [[spec.name, should, is, state === null ? 'missing' : differs.length === 0 ? '-' : (differs[0] ?? '')]].concat(
    differs.slice(1).map((text) => ['', '', '', text]),
  )
}

/** Of the settings in force only those that are declared: a broker lists some sixty. */
function asJson({ spec, state, differences }: TopicReport) {
  const { name, table: source, ...should } = spec
  const config = Object.fromEntries(Object.keys(spec.config).map((setting) => [setting, state?.config[setting]]))
  const is = state === null ? null : { ...state, config, own: undefined }
  return { name, table: source, should, is, differences }
}

function show(reports: readonly TopicReport[]): void {
  print(table(['topic', 'should be', 'is', 'differs'], reports.flatMap(rowsOf)))
  const mends = new Set(reports.flatMap(({ differences }) => differences.map(({ what, mend }) => `${what}: ${mend}`)))
  for (const mend of mends) print(`  mend ${mend}`)
}

export function topicsCommand(signal: AbortSignal): Command {
  return command('topics', 'The Kafka topics that should be, that are, and what differs', [
    ['KAFKA_BROKERS=kafka:9092 rescore topics', 'look, change nothing; exit 3 when something differs'],
    ['KAFKA_BROKERS=kafka:9092 rescore topics --apply', 'create what is missing and set what can be set'],
  ])
    .option('--apply', 'create missing topics and change settings; never deletes, shrinks or adds partitions')
    .action(async (options: TopicsOptions) => {
      const settings = settingsOrRefuse()
      const config = await loadProject(process.cwd())
      const tables = capturedTables(compileGraph(config))
      const look = async (admin: Admin) => {
        const found = await reportTopics(admin, settings, tables)
        return isByDebezium(config) ? found.map(theirTopic) : found
      }
      const client = {
        // What it cannot do it says once, as an error of ours.
        log: { warn: () => undefined },
        role: 'topics',
        patience: 'command',
        signal,
      } as const
      const reports = await withAdmin(settings, client, 'looking at the topics', async (admin) => {
        const found = await look(admin)
        if (options.apply !== true) return found
        await applyTopics(admin, found)
        return look(admin)
      })
      if (reports.some(({ differences }) => differences.length > 0)) process.exitCode = EXIT.problems
      if (options.json === true) return printJson({ prefix: settings.prefix, topics: reports.map(asJson) })
      show(reports)
    })
}
