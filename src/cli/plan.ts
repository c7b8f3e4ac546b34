/** `rescore plan`: what deploying this code would change, before anything does. Exit 3 when something needs a decision. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { makePlan } from '../plan/plan.ts'
import type { EntityPlan, Plan, Sample } from '../plan/report.ts'
import { APPROVE_ABOVE } from '../recompute/stage.ts'
import { loadModels } from '../score/registry.ts'
import { type Common, command, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { paint, print, printJson } from './output.ts'

interface Options extends Common {
  readonly sample: number
}

export const DEFAULT_SAMPLE = 1_000

const percent = (part: number, whole: number) => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`)

function sampleLines({ entities, changed, failed, firstFailure, features, labels }: Sample): readonly string[] {
  const lines = [`  tried on ${entities}: ${percent(changed, entities)} have a value that would change`]
  for (const { feature, changed: count, movers } of features) {
    const shown = movers.slice(0, 3).map(({ key, from, to }) => `${key}: ${String(from)} -> ${String(to)}`)
    lines.push(`    ${feature}: ${percent(count, entities)} would change (${shown.join('; ')})`)
  }
  for (const { model, compared, flipped, examples } of labels) {
    const shown = examples.slice(0, 3).map(({ key, from, to }) => `${key}: ${from} -> ${to}`)
    const some = shown.length === 0 ? '' : ` (${shown.join('; ')})`
    lines.push(`    label of ${model}: ${percent(flipped, compared)} would flip${some}`)
  }
  if (failed > 0) lines.push(paint(`    ${failed} could not be computed, the first ${firstFailure}`, 'red'))
  return lines
}

function editedLines({ entity, edited, sample }: EntityPlan): readonly string[] {
  return edited.map((name) => {
    const moved = sample?.features.find(({ feature }) => feature === name)?.changed ?? 0
    const verdict =
      sample === null
        ? 'not tried'
        : moved === 0
          ? `no value of the sample would change: rescore equivalent ${entity}.${name}`
          : `${percent(moved, sample.entities)} of the sample would change: raise its version, or they stay as they are`
    return `  ~ ${name}: other code under its version; ${verdict}`
  })
}

const counted = ({ count, isExact }: { readonly count: number; readonly isExact: boolean }) =>
  `${isExact ? '' : '~'}${count}`

function timeText({ seconds, secondsBy }: EntityPlan): string {
  if (seconds === null) return ''
  const time = seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} min`
  return secondsBy === 'sample'
    ? `, at least ${time} (the sample writes nothing)`
    : `, about ${time} (as the last backfill)`
}

const BROKEN_TEXT = {
  warn: 'will be told of',
  block: 'put their entity aside, because they are the last stored',
  quarantine: 'put their entity aside',
} as const

function expectationLines({ expectations }: EntityPlan): readonly string[] {
  return expectations.map(({ feature, otherwise, isRecomputed, broken }) => {
    if (otherwise === null) return `  ~ ${feature}: nothing is expected of it any more`
    const told = isRecomputed
      ? 'held against every value as it is computed anew'
      : broken === null
        ? 'too many stored values to count which break it'
        : `${broken} stored values break it${broken === 0 ? '' : ` and ${BROKEN_TEXT[otherwise]}`}`
    return `  ~ ${feature}: expected otherwise; ${broken === null || broken === 0 ? told : paint(told, 'red')}`
  })
}

function changeLines(plan: EntityPlan): readonly string[] {
  const { added, changed, readers, removed, renamed, models, affectedModels } = plan
  const list = (sign: string, found: readonly string[], what: string) => found.map((name) => `  ${sign} ${name}${what}`)
  const origin = new Map(
    renamed.map(({ from, to }) => [to, `: looks like a rename of ${from} (same code), computed anew`]),
  )
  const model = (name: string) => `model ${name}`
  return [
    ...added.map((name) => `  + ${name}${origin.get(name) ?? ''}`),
    ...list('*', changed, ': another version'),
    ...list('>', readers, ': reads what changed'),
    ...editedLines(plan),
    ...expectationLines(plan),
    ...list('-', removed, ': its column and values stay until rescore prune'),
    ...list('*', models.map(model), ': new, or another version or artifact'),
    ...list('>', affectedModels.map(model), ': reads what changed'),
  ]
}

function entityLines(plan: EntityPlan): readonly string[] {
  const { entity, stale, scored, approveAbove, sample, unsampled } = plan
  const approval = plan.needsApproval ? `; more than ${approveAbove}: a backfill will wait for approval` : ''
  return [
    paint(entity, 'bold'),
    ...changeLines(plan),
    `  ${counted(stale)} rows to recompute${timeText(plan)}${approval}`,
    ...(scored === null ? [] : [`  ${counted(scored)} entities to score again`]),
    ...(sample === null ? [] : sampleLines(sample)),
    ...(unsampled === null ? [] : [`  could not be tried: ${unsampled}`]),
  ]
}

export function renderPlan({ isEmpty, entities, refusals, removedEntities, removedModels }: Plan): string {
  const refused = refusals.map(({ code, message, mend }) => paint(`${code}: ${message}\n  mend: ${mend}`, 'red'))
  if (isEmpty && refused.length === 0) return 'nothing to deploy: definitions and models are those in the database'
  return [
    ...entities.flatMap(entityLines),
    ...removedEntities.map((entity) => `- entity ${entity}: its table stays until rescore prune`),
    ...removedModels.map((model) => `- model ${model}: its classifications stay, nobody vouches for them`),
    ...refused,
    refused.length === 0
      ? 'nothing was written; deploy with rescore start'
      : 'nothing was written; rescore start would refuse it',
  ].join('\n')
}

/** A sample of none is allowed. */
export function parseSample(text: string): number {
  if (!/^\d{1,7}$/.test(text)) throw usage(`'${text}' is not a number of entities.`, 'Write for example 1000, or 0.')
  return Number(text)
}

export function planCommand(signal: AbortSignal): Command {
  return command('plan', 'What deploying this code would change, tried on a sample; nothing is written', [
    ['rescore plan', 'features and models added, changed, stale; how many rows; which values and labels would move'],
    ['rescore plan --sample 0 --json', 'counts only, for CI: exit 3 when `decisions` names anything'],
  ])
    .option('--sample <n>', 'entities of each kind to try', parseSample, DEFAULT_SAMPLE)
    .action(async ({ sample, json }: Options) => {
      const plan = await withConnection(async ({ pool }) => {
        await pool.query('select 1')
        const config = await loadProject(process.cwd())
        await using models = await loadModels(config.models, { signal })
        const approveAbove = config.backfill?.approveAbove ?? APPROVE_ABOVE
        return await makePlan({ pool, graph: compileGraph(config), models, sample, approveAbove, signal })
      })
      if (plan.decisions.length > 0) process.exitCode = EXIT.problems
      if (json === true) printJson(plan)
      else print(renderPlan(plan))
    })
}
