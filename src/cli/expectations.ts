/** `rescore expectations`: which values are not as their features expect, and letting one through. */
import type { Command } from 'commander'
import { acceptValues } from '../backfill/accept.ts'
import { loadProject } from '../config.ts'
import type { Pool } from '../db/pool.ts'
import { compileGraph } from '../graph/compile.ts'
import { countViolations, listViolations, type OpenViolation, type ViolationCount } from '../observe/violations.ts'
import { watchBackfill } from './backfill-show.ts'
import { resolveTarget, type Target } from './backfill-target.ts'
import { type Common, command, parseCount, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { print, printable, printJson, table } from './output.ts'

export const EFFECT_TEXT = {
  stored: 'stored all the same',
  held: 'held back, the value before it stays',
  aside: 'entity put aside',
} as const satisfies Record<OpenViolation['effect'], string>

/** `3 min`, `2 h`, `5 d`: nobody needs it closer. */
export function ageText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`
}

export function renderCounts(counts: readonly ViolationCount[]): string {
  if (counts.length === 0) return 'every value is as its feature expects'
  return table(
    ['feature', 'rule', 'otherwise', 'values', 'what became of them', 'oldest', 'accepted'],
    counts.map(({ entity, feature, rule, otherwise, count, effect, oldestSeconds, accepted }) => [
      `${entity}.${feature}`,
      rule,
      otherwise,
      String(count),
      EFFECT_TEXT[effect],
      accepted === count ? '-' : ageText(oldestSeconds),
      accepted === 0 ? '-' : String(accepted),
    ]),
  )
}

export function renderViolations(violations: readonly OpenViolation[], limit: number): string {
  if (violations.length === 0) return 'every value is as its feature expects'
  const rows = violations.map((one) => [
    printable(one.key),
    one.feature,
    one.rule,
    printable(JSON.stringify(one.value)),
    `${EFFECT_TEXT[one.effect]}${one.acceptedAt === null ? '' : ', accepted'}`,
    one.since,
    one.lastSeen,
  ])
  const more = violations.length === limit ? `\nthe first ${limit}; more with --limit` : ''
  return table(['key', 'feature', 'breaks', 'computed', 'what became of it', 'since', 'last seen'], rows) + more
}

/** @throws RescoreError CLI_USAGE */
async function targetOf(pool: Pool, what: string): Promise<Target> {
  await pool.query('select 1')
  return resolveTarget(compileGraph(await loadProject(process.cwd())), [what])
}

interface AcceptOptions extends Common {
  readonly ids?: string
  readonly all?: boolean
  readonly detach?: boolean
}

async function accept(what: string, { ids, all, detach, json }: AcceptOptions, signal: AbortSignal): Promise<void> {
  if ((ids === undefined) === (all !== true)) {
    throw usage('Which values?', 'Name keys, --ids 17,18, or say --all: every value of the feature that is held back.')
  }
  await withConnection(async ({ pool }) => {
    const { node, features } = await targetOf(pool, what)
    const [feature] = features
    if (feature === undefined) throw usage(`'${what}' is no feature.`, 'See what there is: rescore expectations.')
    const keys = ids === undefined ? null : ids.split(',').map((id) => id.trim())
    const { count, backfill } = await acceptValues(pool, node, feature, keys)
    const shown = detach === true ? backfill : await watchBackfill(pool, backfill.id, signal)
    if ((shown?.failed ?? 0) > 0) process.exitCode = EXIT.problems
    if (json === true) printJson({ accepted: count, backfill: shown })
    else print(`${count} accepted; backfill ${backfill.id}: ${shown?.state ?? 'gone'}`)
  })
}

export function expectationsCommand(signal: AbortSignal): Command {
  const accepting = command('accept', 'Lets the values that are held back now through, and no other', [
    ['rescore expectations accept company.arr --ids 17,18', 'what was computed for these two is stored'],
    ['rescore expectations accept company.arr --all --detach', 'every one held back; see rescore backfills'],
  ])
    .argument('<feature>')
    .option('--ids <keys>', 'keys of entities, separated by commas')
    .option('--all', 'every value of the feature that is held back')
    .option('--detach', 'do not wait until they are stored')
    .action((what: string, options: AcceptOptions) => accept(what, options, signal))
  accepting.exitOverride().showHelpAfterError('(see --help)')
  return command('expectations', 'Values that are not as their features expect, and what became of them', [
    ['rescore expectations', 'how many, by feature and rule'],
    ['rescore expectations company.arr', 'which entities, which value, since when'],
  ])
    .enablePositionalOptions()
    .argument('[what]', 'a feature or an entity')
    .option('--limit <n>', 'entities to list', parseCount, 50)
    .action(async (what: string | undefined, { limit, json }: Common & { limit: number }) => {
      await withConnection(async ({ pool }) => {
        if (what === undefined) {
          const counts = await countViolations(pool)
          if (json === true) printJson(counts)
          else print(renderCounts(counts))
          return
        }
        const { node, features } = await targetOf(pool, what)
        const found = await listViolations(pool, { entity: node.entity.name, features, limit })
        if (json === true) printJson(found)
        else print(renderViolations(found, limit))
      })
    })
    .addCommand(accepting)
}
