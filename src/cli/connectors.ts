/** `rescore connectors`: each stream of each connector, one line. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { reportConnectors, type StreamReport } from '../observe/connectors.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { bytes, print, printJson, table } from './output.ts'

const HEADER = ['connector', 'stream', 'rows', 'last read', 'lag', 'rejects', 'budget left', 'next run', 'last error']

function line(report: StreamReport): readonly string[] {
  return [
    report.connector,
    report.stream,
    report.rows === null ? '-' : String(report.rows),
    report.lastReadAt ?? 'never',
    report.lagSeconds === null ? '-' : `${report.lagSeconds.toFixed(0)} s`,
    String(report.rejects),
    report.budgets.join(', ') || '-',
    report.nextRunAt ?? '-',
    report.lastError ?? '-',
  ]
}

export function connectorsCommand(): Command {
  return command('connectors', 'Each stream: rows, last read, lag, rejects, budget left, next run', [
    ['rescore connectors', 'one line for each stream of this project'],
    ["rescore connectors --json | jq '.[].rejects'", 'the records set aside, for a script'],
  ]).action(async (options: Common) => {
    const reports = await withConnection(async ({ pool }) => {
      const { connectors } = await loadProject(process.cwd())
      return reportConnectors(pool, connectors)
    })
    if (options.json === true) return printJson(reports)
    print(table(HEADER, reports.map(line)))
    for (const { connector, stream, drift, sourceSlot } of reports) {
      if (sourceSlot !== null) {
        const { slot, retainedBytes, at } = sourceSlot
        print(`  source ${connector} ${stream}: its slot '${slot}' keeps ${bytes(retainedBytes)} of WAL there (${at})`)
      }
      for (const text of drift) print(`  drift ${connector} ${stream}: ${text}`)
    }
  })
}
