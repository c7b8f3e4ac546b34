/** `rescore sync <connector> <stream>`: reads a stream now, besides the service or without one. */
import { appendFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { BudgetBook } from '../connect/budget.ts'
import { recordingTransport, replayingTransport } from '../connect/http/record.ts'
import { redactorOf } from '../connect/http/redact.ts'
import { createTransport, type Transport } from '../connect/http/transport.ts'
import { type SyncExtent, syncStream } from '../connect/sync.ts'
import type { AnyStream, Connector } from '../define/index.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { findConnector, findStream, runOptions } from './connector-run.ts'
import { print, printJson } from './output.ts'

interface SyncOptions extends Common {
  readonly ids?: string
  readonly since?: string
  readonly full?: boolean
  readonly dryRun?: boolean
  readonly record?: string
  readonly replay?: string
}

/** A file of calls to write, or to be answered from instead of the source. */
async function transportOf({ record, replay }: SyncOptions, connector: Connector): Promise<Transport | undefined> {
  const redactor = redactorOf(connector)
  if (record !== undefined && replay !== undefined) {
    throw usage('--record and --replay do not go together.', 'Record first, then replay the file.')
  }
  if (replay !== undefined) return replayingTransport((await readFile(replay, 'utf8')).split('\n'), redactor)
  if (record === undefined) return undefined
  await writeFile(record, '', { mode: 0o600 })
  return recordingTransport(createTransport(), redactor, (line) => appendFileSync(record, `${line}\n`))
}

export function extentOf({ ids, since, full }: SyncOptions, stream: AnyStream): SyncExtent {
  if ([ids, since, full].filter((given) => given !== undefined).length > 1) {
    throw usage('--ids, --since and --full do not go together.', 'Give one of them, or none to read what is next.')
  }
  if (full === true) return { kind: 'full' }
  if (since !== undefined) {
    const ms = Date.parse(since)
    if (Number.isNaN(ms)) throw usage(`'${since}' is not a time.`, 'Write it as 2026-01-01 or 2026-01-01T12:00:00Z.')
    return { kind: 'since', ms }
  }
  if (ids === undefined) return { kind: 'next' }
  const [table] = stream.tables
  const [column, second] = table?.key ?? []
  if (column === undefined || second !== undefined) {
    throw usage(`Stream '${stream.name}' is not keyed by one column.`, 'Read it with --since or --full.')
  }
  return { kind: 'keys', keys: ids.split(',').map((id) => ({ [column]: id.trim() })) }
}

export function syncCommand(signal: AbortSignal): Command {
  return command('sync', 'Read a stream of a connector now', [
    ['rescore sync hubspot companies --ids 1,2', 'these records, whether they have changed or not'],
    ['rescore sync acme companies --since 2026-01-01 --dry-run', 'how many rows differ; nothing is written'],
  ])
    .argument('<connector>')
    .argument('<stream>')
    .option('--ids <ids>', 'only the records with these keys, separated by commas')
    .option('--since <time>', 'everything modified since')
    .option('--full', 'everything from the start; the checkpoint of the stream does not move')
    .option('--dry-run', 'write nothing; what a whole listing would delete is not counted')
    .option('--record <file>', 'write every call and its answer down, without secrets')
    .option('--replay <file>', 'answer every call from such a file; nothing is asked of the source')
    .action(async (connectorName: string, streamName: string, options: SyncOptions) => {
      const landed = await withConnection(async ({ pool }) => {
        const { connectors } = await loadProject(process.cwd())
        const connector = findConnector(connectors, connectorName)
        const stream = findStream(connector, streamName)
        const extent = extentOf(options, stream)
        const transport = await transportOf(options, connector)
        const run = {
          ...(await runOptions(pool, connector, signal)),
          ...(transport === undefined ? {} : { transport }),
        }
        return syncStream(run, stream, new BudgetBook(), extent, options.dryRun === true)
      })
      if (options.json === true) return printJson({ ...landed, dryRun: options.dryRun === true })
      const would = options.dryRun === true ? 'would be ' : ''
      print(`${landed.written} rows ${would}written, ${landed.rejected} records ${would}set aside`)
    })
}
