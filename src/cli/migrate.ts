/** `rescore migrate`: brings the control schema up to date. */
import type { Command } from 'commander'
import { migrate, pendingMigrations } from '../db/migrate.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson } from './output.ts'

export function migrateCommand(): Command {
  return command('migrate', 'Apply the migrations of the control schema', [
    ['rescore migrate --dry-run', 'show what would be applied; nothing is written'],
    ['DATABASE_URL=postgresql://… rescore migrate', 'apply it (rescore start does so too)'],
  ])
    .option('--dry-run', 'show what would be applied')
    .action(async (options: Common & { dryRun?: boolean }) => {
      const isDryRun = options.dryRun === true
      const migrations = await withConnection(async ({ pool }) =>
        isDryRun ? pendingMigrations(pool) : (await migrate(pool)).applied,
      )
      const list = migrations.map(({ version, name }) => ({ version, name }))
      if (options.json === true) return printJson({ dryRun: isDryRun, migrations: list })
      if (list.length === 0) return print('up to date')
      for (const { version, name } of list) print(`${isDryRun ? 'would apply' : 'applied'} ${version} ${name}`)
    })
}
