/** `rescore deliver`: how deliveries stand, and with `--dry-run` what they would write. Sends nothing itself. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import type { Delivery } from '../define/index.ts'
import { deliveryStandings, type Preview, previewDelivery, retryAside, type Standing } from '../deliver/preview.ts'
import { type Common, command, parseCount, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson, table } from './output.ts'

interface Options extends Common {
  readonly dryRun?: boolean
  readonly retry?: boolean
  readonly limit: number
}

const clean = (text: string) => text.replace(/[\p{Cc}\p{Cf}]/gu, '·')

function previewLines({ delivery, writes, removals, examples }: Preview): readonly string[] {
  const lines = examples.map(({ key, from, to }) => {
    const values = Object.entries(to).map(([name, value]) => `${name}: ${from?.[name] ?? '–'} → ${value}`)
    return clean(`  ${key}  ${values.length === 0 ? 'removed' : values.join(', ')}`)
  })
  const rest = writes > examples.length ? [`  and ${writes - examples.length} more`] : []
  return [`${delivery}: ${writes} records would be written, ${removals} of them removed`, ...lines, ...rest]
}

function standingTable(standings: readonly Standing[]): string {
  const rows = standings.map(({ delivery, written, today, due, aside, held, echoes, pausedUntil, error }) => [
    delivery,
    ...[written, today, due, aside, held, echoes].map(String),
    pausedUntil ?? '',
    clean(error ?? ''),
  ])
  return table(['delivery', 'written', 'today', 'due', 'aside', 'held', 'echoes', 'paused until', 'last error'], rows)
}

function chosen(deliveries: readonly Delivery[], name: string | undefined): readonly Delivery[] {
  if (name === undefined) return deliveries
  const found = deliveries.filter((delivery) => delivery.name === name)
  if (found.length > 0) return found
  const known = deliveries.map((delivery) => delivery.name).join(', ')
  throw usage(`'${name}' is no delivery.`, known === '' ? 'rescore.config.ts declares none.' : `Choose among ${known}.`)
}

export function deliverCommand(): Command {
  return command('deliver', 'How deliveries stand; with --dry-run what they would write', [
    ['rescore deliver --dry-run', 'what every delivery would write now, without writing it'],
    ['rescore deliver hubspot --retry', 'try again at once what was set aside'],
  ])
    .argument('[name]', 'one delivery (default: all)')
    .option('--dry-run', 'print what would be written')
    .option('--retry', 'records that were set aside are due now')
    .option('--limit <n>', 'records printed of each delivery', parseCount, 20)
    .action(async (name: string | undefined, options: Options) => {
      await withConnection(async ({ pool }) => {
        const deliveries = chosen((await loadProject(process.cwd())).deliver ?? [], name)
        const names = deliveries.map((delivery) => delivery.name)
        if (options.dryRun === true) {
          const previews: Preview[] = []
          for (const delivery of deliveries) previews.push(await previewDelivery(pool, delivery, options.limit))
          if (options.json === true) printJson({ deliveries: previews })
          else print(previews.flatMap(previewLines).join('\n'))
          return
        }
        const retried = options.retry === true ? await retryAside(pool, names) : null
        const standings = (await deliveryStandings(pool)).filter(({ delivery }) => names.includes(delivery))
        if (options.json === true) printJson({ deliveries: standings, retried })
        else
          print(
            [...(retried === null ? [] : [`${retried} records are due again.`]), standingTable(standings)].join('\n'),
          )
      })
    })
}
