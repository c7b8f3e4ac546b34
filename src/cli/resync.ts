/** `rescore resync`: the way out when the slot or the history it stood in is gone. */
import type { Command } from 'commander'
import { resync } from '../capture/slot.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson } from './output.ts'

export function resyncCommand(): Command {
  return command('resync', 'Give up the replication slot; the next start makes a new one and recomputes everything', [
    ['rescore resync --dry-run', 'say what would be given up'],
    ['rescore resync --yes', 'do it, with the service stopped; what is stored stays readable'],
  ])
    .option('--dry-run', 'say what would be done')
    .option('--yes', 'do it')
    .action(async (options: Common & { dryRun?: boolean; yes?: boolean }) => {
      await withConnection(async ({ pool, environment }) => {
        const slot = environment.RESCORE_SLOT
        if (options.dryRun !== true && options.yes !== true) {
          throw usage(
            'resync gives up the slot and recomputes everything.',
            'rescore resync --yes (or --dry-run first)',
          )
        }
        if (options.dryRun !== true) await resync(pool, slot)
        const done = options.dryRun !== true
        if (options.json === true) printJson({ slot, done })
        else print(`${done ? 'gave up' : 'would give up'} slot '${slot}'; start the service to recompute everything`)
      })
    })
}
