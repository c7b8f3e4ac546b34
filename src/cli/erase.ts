/** `rescore erase <what> <key>`: everything known about one record, gone for good, with a certificate. */
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { datasetsNotErased } from '../dataset/registry.ts'
import { notCovered, publishedTables, type TopicNote, topicNote } from '../erase/elsewhere.ts'
import { erase, keyAsStored, tryErase } from '../erase/erase.ts'
import type { Removed } from '../erase/places.ts'
import { type Subject, subjectOf } from '../erase/subject.ts'
import { capturedTables } from '../graph/captured-tables.ts'
import { compileGraph } from '../graph/compile.ts'
import type { Graph } from '../graph/graph.ts'
import { purgeTopics, readRetention } from '../log/kafka/purge.ts'
import { readKafkaSettings } from '../log/kafka/settings.ts'
import { topicName } from '../log/kafka/topics.ts'
import { waitUntilReflected } from '../observe/wait.ts'
import { type Common, command, parseDuration, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { note, print, printJson } from './output.ts'

const stderrLog = {
  info: () => undefined,
  warn: (fields: object, message: string) => note(`${message} ${JSON.stringify(fields)}`),
}

interface EraseOptions extends Common {
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly by?: string
  readonly purgeTopics?: boolean
  readonly timeout: string
}

/** Of the topics in use, with `purge` what they hold is removed once every stage has read it. */
async function topicsOf(
  subject: Subject,
  graph: Graph,
  { url, purge, timeoutMs, signal }: { url: string; purge: boolean; timeoutMs: number; signal: AbortSignal },
): Promise<readonly TopicNote[]> {
  const settings = readKafkaSettings(process.env)
  if (settings === null) return []
  const topics = publishedTables(subject, capturedTables(graph)).map((table) => topicName(settings.prefix, table))
  const client = { role: 'erase', log: stderrLog, signal }
  const retention = await readRetention(settings, client, topics)
  // The removal itself is published too: it has to be in the topics before they are emptied.
  if (purge) await waitUntilReflected({ url, timeoutMs, signal })
  const purged = purge ? await purgeTopics(settings, client, topics) : new Map<string, number>()
  return topics
    .filter((topic) => retention.has(topic))
    .map((topic) => topicNote(topic, retention.get(topic) ?? null, Date.now(), purged.get(topic)))
}

function lines(removed: Removed): readonly string[] {
  const places = Object.entries(removed)
  return places.length === 0 ? ['  nothing'] : places.map(([place, rows]) => `  ${rows} ${place}`)
}

export function eraseCommand(signal: AbortSignal): Command {
  return command('erase', 'Erase everything known about one record, for good, and certify it', [
    ['rescore erase company 123 --dry-run', 'how many rows of what would go'],
    [
      'rescore erase contact 7 --yes > certificate.json',
      'erase it beside the running service; the certificate on stdout',
    ],
  ])
    .argument('<what>', 'an entity, or a source table by its name')
    .argument('<key>')
    .option('--dry-run', 'count what would go; nothing is written')
    .option('--yes', 'do it')
    .option('--by <name>', 'who asked for it, as the certificate says')
    .option('--purge-topics', 'remove every record of the topics that may hold it, once the stages have read them')
    .option('--timeout <duration>', 'how long work in flight may take to end', '60s')
    .action(async (what: string, given: string, options: EraseOptions) => {
      if (options.dryRun !== true && options.yes !== true) {
        throw usage(`This erases ${what} ${given} for good.`, 'Add --yes (or look first: --dry-run).')
      }
      await withConnection(async ({ pool, url }) => {
        const config = await loadProject(process.cwd())
        const graph = compileGraph(config)
        const subject = subjectOf(what, graph, config)
        const timeoutMs = parseDuration(options.timeout)
        const key = await keyAsStored(pool, subject, given)
        if (options.dryRun === true) {
          const removed = await tryErase(pool, subject, key)
          if (options.json === true) return printJson({ dryRun: true, table: subject.table.id, removed })
          return print([`would be removed of ${subject.table.id} ${key}:`, ...lines(removed)].join('\n'))
        }
        const certificate = await erase({
          pool,
          subject,
          key,
          signal,
          askedBy: options.by ?? userInfo().username,
          timeoutMs,
          elsewhere: async () => {
            const purge = options.purgeTopics === true
            const topics = await topicsOf(subject, graph, { url, purge, timeoutMs, signal })
            const entities = subject.entities.map(({ name }) => name)
            return {
              topics,
              notCovered: [...notCovered(subject, topics), ...(await datasetsNotErased(pool, entities))],
            }
          },
        })
        printJson(certificate)
      })
    })
}
