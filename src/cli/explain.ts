/** `rescore explain <entity> <key>`: the chain of causes behind a classification. */
import type { Command } from 'commander'
import type { FeatureMove } from '../log/stage.ts'
import { type Explanation, explain } from '../observe/explain.ts'
import { causeText, shown } from './cause-text.ts'
import { type Common, command, parseCount } from './command.ts'
import { withConnection } from './connection.ts'
import { EFFECT_TEXT } from './expectations.ts'
import { print, printable, printJson } from './output.ts'

const moveLine = (move: FeatureMove) => `  feature ${move.feature} ${shown(move.from)} → ${shown(move.to)}`
const outcome = (side: { label: string; probability: number } | null) =>
  side === null ? 'none' : `${side.label} ${side.probability.toFixed(4)}`

export function renderExplanation(explanation: Explanation): string {
  const lines = [`${explanation.entity} ${explanation.key}`]
  for (const now of explanation.now) {
    lines.push(`now ${now.model} ${now.modelVersion}: ${outcome(now)} (scored ${now.scoredAt})`)
  }
  const { quarantined } = explanation
  if (quarantined !== null) {
    lines.push(
      `kept aside since ${quarantined.since}: feature ${quarantined.feature}: ${quarantined.code}: ${quarantined.reason}`,
    )
  }
  const { silenced, violations } = explanation
  if (silenced !== null) {
    lines.push(`computed silently by backfill ${silenced.backfill} at ${silenced.at}, not scored since`)
  }
  for (const { feature, rule, value, effect, since, acceptedAt } of violations) {
    const computed = printable(JSON.stringify(value))
    const accepted = acceptedAt === null ? '' : ` (accepted ${acceptedAt})`
    lines.push(`${feature}: computed ${computed} breaks ${rule} since ${since}: ${EFFECT_TEXT[effect]}${accepted}`)
  }
  for (const step of explanation.steps) {
    const what = step.op === 'base' ? 'kept: older steps are not, this still held when the past begins' : step.op
    lines.push('', `${step.at} ${what}`)
    lines.push(...step.causes.map((cause) => `  because ${causeText(cause)}`))
    if (step.causesLeftOut > 0) lines.push(`  and ${step.causesLeftOut} more causes`)
    lines.push(...step.moves.map(moveLine))
    for (const score of step.scores) {
      lines.push(`  model ${score.model} ${score.modelVersion}: ${outcome(score.from)} → ${outcome(score.to)}`)
    }
  }
  return lines.join('\n')
}

export function explainCommand(): Command {
  return command('explain', 'Why an entity is classified as it is, back through history', [
    ['rescore explain company 123', 'which column changed, which features moved, which model scored'],
    ['rescore explain company 123 --limit 1 --json', 'only the last step, for a script'],
  ])
    .argument('<entity>', 'name of the entity, such as company')
    .argument('<key>', 'its key')
    .option('--limit <n>', 'steps of history', parseCount, 10)
    .action(async (entity: string, key: string, options: Common & { limit: number }) => {
      const explanation = await withConnection(({ pool }) => explain(pool, { entity, key, limit: options.limit }))
      if (options.json === true) printJson(explanation)
      else print(renderExplanation(explanation))
    })
}
