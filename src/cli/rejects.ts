/** `rescore rejects list | show | replay | drop`: records that could not be landed. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { BudgetBook } from '../connect/budget.ts'
import { dropRejects, listRejects, type RejectRow, replayReject } from '../connect/rejects.ts'
import type { Pool } from '../db/pool.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { findConnector, runOptions } from './connector-run.ts'
import { EXIT } from './exit.ts'
import { print, printJson, table } from './output.ts'

interface Which extends Common {
  readonly connector?: string
  readonly all?: boolean
}

const HEADER = ['id', 'connector', 'stream', 'key', 'code', 'seen', 'last seen', 'reason']
const LONGEST_REASON = 80

const line = (row: RejectRow) => [
  String(row.id),
  row.connector,
  row.stream,
  row.key ?? '-',
  row.code,
  String(row.seen),
  row.lastSeenAt,
  row.reason.slice(0, LONGEST_REASON),
]

function idOf(text: string): bigint {
  if (!/^\d+$/.test(text)) throw usage(`'${text}' is not the id of a reject.`, 'See them: rescore rejects list.')
  return BigInt(text)
}

/** Those named, or all (of a connector) when that is said. */
async function chosen(pool: Pool, ids: readonly string[], { all, connector }: Which): Promise<readonly RejectRow[]> {
  if ((ids.length === 0) !== (all === true)) {
    throw usage('Say which: ids, or --all.', 'See them: rescore rejects list.')
  }
  const filter = connector === undefined ? {} : { connector }
  const rows = await listRejects(pool, ids.length === 0 ? filter : { ids: ids.map(idOf) }, Number.MAX_SAFE_INTEGER)
  const missing = ids.find((id) => rows.every((row) => String(row.id) !== id))
  if (missing !== undefined) throw usage(`There is no reject ${missing}.`, 'See them: rescore rejects list.')
  return rows
}

async function replay(pool: Pool, rows: readonly RejectRow[], signal: AbortSignal): Promise<readonly bigint[]> {
  const { connectors } = await loadProject(process.cwd())
  const book = new BudgetBook()
  const landed: bigint[] = []
  for (const row of rows) {
    const options = await runOptions(pool, findConnector(connectors, row.connector), signal)
    if (await replayReject(options, book, row)) landed.push(row.id)
  }
  return landed
}

export function rejectsCommand(signal: AbortSignal): Command {
  const list = command('list', 'The records set aside, the last seen first', [
    ['rescore rejects list --connector hubspot', 'those of one connector'],
  ])
    .option('--connector <name>')
    .action(async ({ connector, json }: Which) => {
      const rows = await withConnection(({ pool }) => listRejects(pool, connector === undefined ? {} : { connector }))
      if (json === true) return printJson(rows)
      print(rows.length === 0 ? 'no rejects' : table(HEADER, rows.map(line)))
    })
  const show = command('show', 'One of them, with the record as it came', [['rescore rejects show 7', 'all of it']])
    .argument('<id>')
    .action(async (id: string, { json }: Common) => {
      const [row] = await withConnection(({ pool }) => chosen(pool, [id], {}))
      if (json === true || row === undefined) return printJson(row ?? null)
      print(`${table(HEADER, [line(row)])}\n\n${row.reason}\n\n${row.raw}`)
    })
  const again = command('replay', 'Try them again; what is refused anew stays', [
    ['rescore rejects replay 7 8', 'these two'],
    ['rescore rejects replay --all --connector hubspot', 'all of one connector'],
  ])
    .argument('[ids...]')
    .option('--connector <name>')
    .option('--all')
    .action(async (ids: string[], options: Which) => {
      const result = await withConnection(async ({ pool }) => {
        const rows = await chosen(pool, ids, options)
        return { tried: rows.length, landed: await replay(pool, rows, signal) }
      })
      if (result.landed.length < result.tried) process.exitCode = EXIT.problems
      if (options.json === true) return printJson(result)
      print(`${result.landed.length} of ${result.tried} landed`)
    })
  const drop = command('drop', 'Forget them: the records are not read again because of it', [
    ['rescore rejects drop 7', 'this one'],
  ])
    .argument('[ids...]')
    .option('--connector <name>')
    .option('--all')
    .action(async (ids: string[], options: Which) => {
      const dropped = await withConnection(async ({ pool }) => {
        const rows = await chosen(pool, ids, options)
        return dropRejects(
          pool,
          rows.map(({ id }) => id),
        )
      })
      if (options.json === true) return printJson({ dropped })
      print(`${dropped} dropped`)
    })
  const parent = command('rejects', 'Records that could not be landed: list, show, replay, drop', [
    ['rescore rejects list', 'which there are, and why'],
    ['rescore rejects replay --all', 'try them all again, after what refused them was put right'],
  ]).enablePositionalOptions()
  for (const child of [list, show, again, drop]) {
    child.exitOverride().showHelpAfterError('(see --help)')
    parent.addCommand(child)
  }
  return parent
}
