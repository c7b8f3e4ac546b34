/** `rescore resync`: the way out when the slot or the history it stood in is gone. */
import type { Command } from 'commander'
import { readOwnSlot, resync } from '../capture/slot.ts'
import { acquireLease } from '../db/lease.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson } from './output.ts'

export function resyncCommand(signal: AbortSignal): Command {
  return command('resync', 'Give up the replication slot; the next start makes a new one and recomputes everything', [
    ['rescore resync --dry-run', 'say what would be given up'],
    ['rescore resync --yes', 'do it, with the service stopped; what is stored stays readable'],
  ])
    .option('--dry-run', 'say what would be done')
    .option('--yes', 'do it')
    .action(async (options: Common & { dryRun?: boolean; yes?: boolean }) => {
      const isDryRun = options.dryRun === true
      if (!isDryRun && options.yes !== true) {
        throw usage('resync gives up the slot and recomputes everything.', 'rescore resync --yes (or --dry-run first)')
      }
      await withConnection(async ({ pool, url }) => {
        const slot = await readOwnSlot(pool)
        if (!isDryRun) {
          const held = new AbortController()
          // With the lease in hand no service can be reading the slot that is given up.
          const keeping = (await acquireLease(url, signal)).keep(held.signal)
          await resync(pool).finally(() => held.abort())
          await keeping
        }
        if (options.json === true) printJson({ slot, done: !isDryRun })
        else {
          const what = slot === null ? 'what was read, no slot' : `slot '${slot}'`
          print(`${isDryRun ? 'would give up' : 'gave up'} ${what}; start the service to recompute everything`)
        }
      })
    })
}
