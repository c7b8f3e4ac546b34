/** `rescore backfill` and its kin: recompute on demand, beside live changes. */
import { userInfo } from 'node:os'
import type { Command } from 'commander'
import { createBackfill, measureBackfill } from '../backfill/create.ts'
import { type Action, act, POLICIES, type Policy, readBackfill } from '../backfill/job.ts'
import { readProgress } from '../backfill/progress.ts'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { APPROVE_ABOVE } from '../recompute/stage.ts'
import { renderBackfills, watchBackfill } from './backfill-show.ts'
import { resolveTarget } from './backfill-target.ts'
import { type Common, command, parseCount, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { note, print, printJson } from './output.ts'

interface Options extends Common {
  readonly where?: string
  readonly ids?: string
  readonly order?: string
  readonly stale?: boolean
  readonly missing?: boolean
  readonly failed?: boolean
  readonly silenced?: boolean
  readonly silent?: boolean
  readonly all?: boolean
  readonly rate?: number
  readonly dryRun?: boolean
  readonly detach?: boolean
  readonly yes?: boolean
}

const LISTED = 50

/** Who is at this terminal; null where the system does not say. */
function askedBy(): string | null {
  try {
    return userInfo().username
  } catch {
    return null
  }
}

function policyOf({ stale, missing, failed, silenced, all, silent }: Options): Policy {
  const said = Object.entries({ stale, missing, failed, silenced, all }).flatMap(([name, isSaid]) =>
    isSaid === true ? [name] : [],
  )
  if (said.length > 1) throw usage(`--${said.join(' and --')} exclude each other.`, 'Take one of them out.')
  if (silenced === true && silent === true) {
    throw usage('--silenced scores what was computed silently; --silent does not score.', 'Take one of them out.')
  }
  return POLICIES.find((policy) => policy === said[0]) ?? 'all'
}

export function idOf(text: string): bigint {
  if (!/^\d{1,18}$/.test(text))
    throw usage(`'${text}' is not the number of a backfill.`, 'See them: rescore backfills.')
  return BigInt(text)
}

async function start(targets: readonly string[], options: Options, signal: AbortSignal): Promise<void> {
  const { where = null, order = null, rate = null, ids, dryRun, detach, yes, json } = options
  const request = {
    policy: policyOf(options),
    condition: where,
    priority: order,
    rate,
    isSilent: options.silent === true,
    askedBy: askedBy(),
    ids: ids === undefined ? null : ids.split(',').map((id) => id.trim()),
  }
  await withConnection(async ({ pool }) => {
    await pool.query('select 1')
    const config = await loadProject(process.cwd())
    const { node, features } = resolveTarget(compileGraph(config), targets)
    const wanted = { ...request, features }
    if (dryRun === true) {
      const { count, isExact } = await measureBackfill(pool, node, wanted)
      if (json === true) return printJson({ entity: node.entity.name, features, count, isExact })
      print(`${isExact ? '' : '~'}${count} of ${node.entity.name} would be recomputed; nothing was written`)
      return
    }
    const { count, isExact } = await measureBackfill(pool, node, wanted)
    if (count === 0 && isExact) {
      if (json === true) return printJson({ entity: node.entity.name, features, count, isExact })
      print(`no ${node.entity.name} is in scope: there is nothing to do`)
      return
    }
    const approveAbove = config.backfill?.approveAbove ?? APPROVE_ABOVE
    const isApproved = count <= approveAbove || yes === true
    const made = await createBackfill(pool, node, wanted, {
      reason: 'asked',
      state: isApproved ? 'running' : 'planned',
    })
    if (!isApproved) note(`${count} entities are more than ${approveAbove}: rescore backfill approve ${made.id}`)
    const shown = detach === true || !isApproved ? made : await watchBackfill(pool, made.id, signal)
    if (shown?.state === 'failed' || (shown?.failed ?? 0) > 0) process.exitCode = EXIT.problems
    if (json === true) printJson(shown)
    else print(`backfill ${made.id}: ${shown?.state ?? 'gone'}`)
  })
}

function actionCommand(action: Action, description: string): Command {
  return command(action, description, [[`rescore backfill ${action} 7`, 'see their numbers: rescore backfills']])
    .argument('<id>')
    .action(async (text: string, { json, silent }: Common & { silent?: boolean }) => {
      const how = { by: askedBy(), isSilent: silent === true }
      const backfill = await withConnection(({ pool }) => act(pool, idOf(text), action, how))
      if (json === true) printJson(backfill)
      else print(`backfill ${backfill.id}: ${backfill.state}`)
    })
}

export function backfillCommand(signal: AbortSignal): Command {
  const watch = command('watch', 'Its progress until it ends; Ctrl-C leaves it running', [
    ['rescore backfill watch 7', 'done / total, time left, live lag beside it'],
  ])
    .argument('<id>')
    .action(async (text: string, { json }: Common) => {
      const shown = await withConnection(async ({ pool }) => {
        const { id } = await readBackfill(pool, idOf(text))
        return watchBackfill(pool, id, signal)
      })
      if (json === true) printJson(shown)
      else if (shown !== null) print(renderBackfills([shown]))
    })
  const parent = command('backfill', 'Recompute on demand, beside live changes: only what differs is written', [
    ['rescore backfill company.size', 'one feature of every company; progress until it is done'],
    [`rescore backfill size --where "country = 'NO'" --order "employees desc"`, 'some of them, the largest first'],
  ])
    .enablePositionalOptions()
    .argument('[targets...]', 'features (size, company.size) or an entity (company)')
    .option('--where <condition>', "SQL over the columns of the entity's table")
    .option('--ids <keys>', 'these entities, separated by commas')
    .option('--order <column>', 'a column and asc or desc: which entities come first')
    .option('--stale', 'those computed under older definitions')
    .option('--missing', 'those without a value')
    .option('--failed', 'those put aside, or with a value held back')
    .option('--silenced', 'those computed silently and not scored since: score them')
    .option('--all', 'every one in scope (the default)')
    .option('--silent', 'compute, without scoring or writing back')
    .option('--rate <n>', 'at most so many a second, over all workers', parseCount)
    .option('--dry-run', 'say how many, write nothing')
    .option('--detach', 'return at once; watch it with rescore backfill watch')
    .option('--yes', 'run it however many there are')
    .action((targets: string[], options: Options) => start(targets, options, signal))
  const children = [
    actionCommand('approve', 'Let a planned backfill run').option(
      '--silent',
      'compute, without scoring or writing back',
    ),
    actionCommand('pause', 'Let it stand still within a second, keeping its place'),
    actionCommand('resume', 'Let it go on where it was'),
    actionCommand('cancel', 'End it: what it has done stays'),
    watch,
  ]
  for (const child of children) {
    child.exitOverride().showHelpAfterError('(see --help)')
    parent.addCommand(child)
  }
  return parent
}

export function backfillsCommand(): Command {
  return command('backfills', 'Backfills: progress, rate, time left, what came of them, live lag beside them', [
    ['rescore backfills', 'those under way first, then the newest'],
    ['rescore backfills --json', 'for a script that waits for one'],
  ]).action(async ({ json }: Common) => {
    const backfills = await withConnection(({ pool }) => readProgress(pool, LISTED))
    if (json === true) printJson(backfills)
    else print(renderBackfills(backfills))
  })
}
