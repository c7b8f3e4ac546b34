/** `rescore prune`: what removed features have left behind, and its end. */
import type { Command } from 'commander'
import { dropLeftover, findLeftovers, type Leftover } from '../recompute/prune.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { bytes, print, printJson, table } from './output.ts'

interface Options extends Common {
  readonly dryRun?: boolean
  readonly yes?: boolean
}

const nameOf = ({ entity, feature }: Leftover) =>
  feature === null ? `table rescore.features_${entity}` : `column ${entity}.${feature}`

function sizeOf({ feature, bytes: size }: Leftover): string {
  if (size === null) return '-'
  return feature === null ? bytes(size) : `~${bytes(Math.round(size))}`
}

function listed(leftovers: readonly Leftover[]): string {
  const rows = leftovers.map((one) => [nameOf(one), sizeOf(one), one.version?.toString() ?? '-', one.removedAt])
  return table(['what', 'size', 'last version', 'removed at'], rows)
}

export function pruneCommand(signal: AbortSignal): Command {
  return command('prune', 'Drop the columns of removed features, and the tables of removed entities', [
    ['rescore prune --dry-run', 'what there is to drop, and how large it is'],
    ['rescore prune --yes', 'drop it, beside the running service; what they were stays in the history'],
  ])
    .option('--dry-run', 'list it; nothing is dropped')
    .option('--yes', 'do it')
    .action(async ({ dryRun, yes, json }: Options) => {
      if (dryRun !== true && yes !== true) {
        throw usage('This drops stored values for good.', 'Add --yes (or look first: --dry-run).')
      }
      const { found, dropped } = await withConnection(async ({ pool }) => {
        const leftovers = await findLeftovers(pool)
        const gone: Leftover[] = []
        for (const one of dryRun === true ? [] : leftovers) if (await dropLeftover(pool, one, signal)) gone.push(one)
        return { found: leftovers, dropped: gone }
      })
      if (json === true) return printJson({ dryRun: dryRun === true, found, dropped })
      if (found.length === 0) return print('nothing to prune: no removed feature has left a column')
      if (dryRun === true) return print(`would be dropped:\n${listed(found)}`)
      print(`dropped:\n${listed(dropped)}`)
    })
}
