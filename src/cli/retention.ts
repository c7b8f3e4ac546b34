/** `rescore retention …`: how much past there is and what the rule keeps of it; applied by hand. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { type PastSummary, planRetention, type RetentionPlan, readPastSummary } from '../history/describe.ts'
import { runRetention } from '../history/keeper.ts'
import { readNow } from '../history/partitions.ts'
import type { RetentionRun } from '../history/retention.ts'
import { type Rule, ruleOf } from '../history/rule.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { bytes, note, paint, print, printJson, table } from './output.ts'

async function projectRule(): Promise<Rule> {
  const config = await loadProject(process.cwd())
  return ruleOf(config.history, compileGraph(config).entities.keys())
}

/** What there is, in a few lines; `rescore status` shows them too. */
export function renderPast({
  partitions,
  bytes: size,
  oldestMonth,
  strays,
  keptFrom,
  lastRun,
}: PastSummary): readonly string[] {
  const lines = [`history: ${bytes(size)} in ${partitions} partitions, the oldest ${oldestMonth ?? '-'}`]
  for (const [entity, from] of Object.entries(keptFrom)) lines.push(`history of ${entity}: kept from ${from}`)
  if (strays > 0) lines.push(`history: ${strays} rows wait in the default partition for a month of their own`)
  if (lastRun === null) return lines
  const { beganAt, endedAt, rowsFolded, dropped, error } = lastRun
  if (endedAt === null || endedAt < beganAt)
    lines.push(`retention: a run began ${beganAt}, and has not come to its end`)
  if (endedAt !== null) {
    lines.push(`retention: last applied ${endedAt}, ${rowsFolded} rows folded, ${dropped.length} partitions dropped`)
  }
  if (error !== null) lines.push(paint(`retention: ${error}`, 'yellow'))
  return lines
}

function renderPlan({ entities, partitions, drops }: RetentionPlan): string {
  const going = new Set(drops)
  return [
    table(
      ['entity', 'rule keeps from', 'kept from', 'rows to fold', 'of keys'],
      entities.map(({ entity, keepsFrom, keptFrom, older }) => [
        entity,
        keepsFrom ?? 'forever',
        keptFrom ?? 'the beginning',
        String(older.rows),
        String(older.keys),
      ]),
    ),
    '',
    table(
      ['partition', 'size', 'would go'],
      partitions.map((one) => [one.table, bytes(one.bytes), going.has(one.table) ? 'yes' : '-']),
    ),
  ].join('\n')
}

function renderRun({ rowsFolded, dropped, waiting }: RetentionRun): string {
  const lines = [
    `${rowsFolded} rows folded, ${dropped.length} partitions dropped`,
    ...dropped.map((name) => `  ${name}`),
  ]
  return [...lines, ...waiting.map((one) => `left for the next run: ${one}`)].join('\n')
}

function showCommand(): Command {
  return command('show', 'What there is of the past, and what the next run would do', [
    ['rescore retention show', 'partitions and sizes, from when on each entity is kept, the last run'],
    ['rescore retention show --json', 'for a script'],
  ]).action(async ({ json }: Common) => {
    const rule = await projectRule()
    const { past, plan } = await withConnection(async ({ pool }) => ({
      past: await readPastSummary(pool),
      plan: await planRetention(pool, rule, await readNow(pool)),
    }))
    if (json === true) printJson({ ...past, plan })
    else print([...renderPast(past), '', renderPlan(plan)].join('\n'))
  })
}

function runCommand(signal: AbortSignal): Command {
  return command('run', 'Apply the rule now, at full speed; the service does it every hour, at half', [
    ['rescore retention run --dry-run', 'what would be folded and dropped; nothing is written'],
    ['rescore retention run', 'fold what is older than the rule, and drop the months that are empty then'],
  ])
    .option('--dry-run', 'only say what would go')
    .action(async ({ json, dryRun }: Common & { dryRun?: boolean }) => {
      const rule = await projectRule()
      if (dryRun === true) {
        const plan = await withConnection(async ({ pool }) => planRetention(pool, rule, await readNow(pool)))
        if (json === true) printJson(plan)
        else print(renderPlan(plan))
        return
      }
      const onWaiting = () => note('a run is under way elsewhere; waiting for it')
      const run = await withConnection(({ pool, url }) =>
        runRetention({ url, pool, rule, signal, share: 1, onWaiting }),
      )
      if (json === true) printJson(run)
      else print(renderRun(run))
    })
}

export function retentionCommand(signal: AbortSignal): Command {
  const parent = command('retention', 'How long the past is kept: what there is, and the rule applied by hand', [
    ['rescore retention show', 'partitions, sizes, oldest instants'],
    ['rescore retention run --dry-run', 'what would go'],
  ]).enablePositionalOptions()
  for (const child of [showCommand(), runCommand(signal)]) {
    child.exitOverride().showHelpAfterError('(see --help)')
    parent.addCommand(child)
  }
  return parent
}
