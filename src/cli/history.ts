/** `rescore history <entity> <key>`: what moved; with `--at` what was known at a point in time. */
import type { Command } from 'commander'
import { type KnownThen, type Moved, readKnown, readMoves } from '../history/entity-history.ts'
import { formatInstant, parseInstant } from '../history/instant.ts'
import { readKeptFrom } from '../history/kept.ts'
import { causeText, shown } from './cause-text.ts'
import { type Common, command, parseCount, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson, table } from './output.ts'

const outcome = (side: { label: string; probability: number } | null) =>
  side === null ? 'none' : `${side.label} ${side.probability.toFixed(4)}`

const keptText = (from: string) => `the past is kept from ${from}: of what came before, what still held then`

function movedLines(moved: Moved): readonly string[] {
  const { recordedAt, validAt } = moved
  const op = moved.op === 'base' ? 'kept' : moved.op
  const since = validAt === recordedAt ? '' : ` (valid from ${validAt})`
  if (moved.kind === 'classification') {
    const what = `${moved.model} ${moved.modelVersion}: ${outcome(moved.from)} → ${outcome(moved.to)}`
    return [`${recordedAt} ${op} model ${what}`]
  }
  const moves = moved.moves.map(({ feature, from, to }) => `  ${feature} ${shown(from)} → ${shown(to)}`)
  const causes = moved.causes.map((cause) => `  because ${causeText(cause)}`)
  const more = moved.causesLeftOut > 0 ? [`  and ${moved.causesLeftOut} more causes`] : []
  return [`${recordedAt} ${op}${since}`, ...causes, ...more, ...moves]
}

export function renderKnown(known: KnownThen): string {
  const { entity, key, at, exists, isCut, keptFrom, features, classifications } = known
  const lines = [`${entity} ${key} as it was known at ${at}${exists ? '' : ': not there'}`]
  if (keptFrom !== null) lines.push(keptText(keptFrom))
  if (isCut) lines.push('older rows of its history were deleted: values that have not moved since are missing')
  const rows = Object.entries(features).map(([name, { value, validAt, recordedAt }]) => [
    name,
    shown(value),
    validAt,
    recordedAt,
  ])
  if (rows.length > 0) lines.push(table(['feature', 'value', 'valid from', 'recorded'], rows))
  for (const one of classifications) {
    lines.push(`model ${one.model} ${one.modelVersion}: ${outcome(one)} (scored ${one.scoredAt})`)
  }
  return lines.join('\n')
}

export function historyCommand(): Command {
  return command('history', 'What moved in features and classifications of an entity, or what was known at a time', [
    ['rescore history company 123', 'every value and label that moved, newest first'],
    ['rescore history company 123 --at 2024-06-01', 'as it was known then: nothing that came, or came to light, later'],
  ])
    .argument('<entity>', 'name of the entity, such as company')
    .argument('<key>', 'its key')
    .option('--at <time>', 'a date or time; without a zone it is UTC')
    .option('--limit <n>', 'moves shown', parseCount, 100)
    .action(async (entity: string, key: string, options: Common & { at?: string; limit: number }) => {
      const { at, limit, json } = options
      if (at === undefined) {
        const { moves, keptFrom } = await withConnection(async ({ pool }) => ({
          moves: await readMoves(pool, { entity, key, limit }),
          keptFrom: await readKeptFrom(pool, entity),
        }))
        const from = keptFrom === null ? null : formatInstant(keptFrom)
        if (json === true) return printJson({ entity, key, keptFrom: from, moves })
        const head = from === null ? [] : [keptText(from)]
        print([`${entity} ${key}`, ...head, ...moves.flatMap(movedLines)].join('\n'))
        return
      }
      const instant = parseInstant(at)
      if (instant === null) {
        throw usage(`--at '${at}' is not a time.`, 'Write it as 2024-06-01 or 2024-06-01T12:30:00+02:00.')
      }
      const known = await withConnection(({ pool }) => readKnown(pool, entity, key, instant))
      if (json === true) printJson(known)
      else print(renderKnown(known))
    })
}
