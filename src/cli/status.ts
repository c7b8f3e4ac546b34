/** `rescore status`: one screen of how the service is doing. */
import type { Command } from 'commander'
import { readStatus, type Status } from '../observe/status.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { ageText, EFFECT_TEXT } from './expectations.ts'
import { bytes, paint, print, printJson, table } from './output.ts'
import { renderPast } from './retention.ts'

const or = <T>(value: T | null, text: (value: T) => string) => (value === null ? '-' : text(value))

const inSeconds = (lag: number | null) => or(lag, (seconds) => `${seconds.toFixed(2)} s`)
const perSecond = (rate: number | null) => or(rate, (value) => value.toFixed(1))

function renderWorkers(workers: Status['workers']): string {
  return table(
    ['worker', 'stage', 'partitions', 'lag', 'trend', 'rate/s', 'backlog', 'seen at'],
    workers.map((one) => [
      one.worker,
      one.stage,
      String(one.partitions),
      inSeconds(one.lagSeconds),
      one.lagTrend ?? '-',
      perSecond(one.ratePerSecond),
      String(one.backlog),
      one.seenAt,
    ]),
  )
}

function ownerOf({ owner, lastOwner }: Status['partitions'][number]): string {
  if (owner !== null) return owner
  return lastOwner === null ? 'nobody yet' : `nobody (was ${lastOwner})`
}

function renderPartitions(partitions: Status['partitions']): string {
  return table(
    ['stage', 'topic', 'partition', 'lag', 'trend', 'backlog', 'owner', 'next offset', 'moved at'],
    partitions.map((one) => [
      one.stage,
      one.topic,
      String(one.partition),
      inSeconds(one.lagSeconds),
      one.lagTrend ?? '-',
      or(one.backlog, String),
      ownerOf(one),
      one.nextOffset,
      one.movedAt,
    ]),
  )
}

/** The worst that is to be said of a stage, in colour where a person reads it. */
function stateOf({ sweeping, unowned }: Status['stages'][number]): string {
  if (unowned > 0) return paint(`${unowned} partitions without a worker`, 'red')
  return sweeping ? 'catching up' : 'live'
}

/** Nothing where no feature reads the time. */
function timerLines({
  waiting,
  overdue,
  nextAt,
  behindSeconds,
  standsStillSeconds,
}: Status['timers']): readonly string[] {
  if (waiting === 0) return []
  const due = overdue === 0 ? '' : `, ${overdue} due and not fired (behind by ${behindSeconds.toFixed(1)} s)`
  const lines = [`timers: ${waiting}, next ${nextAt ?? 'none'}${due}`]
  if (standsStillSeconds >= 1) {
    const text = `time stands still: the clock is ${Math.round(standsStillSeconds)} s behind what it was (rescore doctor)`
    lines.push(paint(text, 'red'))
  }
  return lines
}

export function renderStatus(status: Status): string {
  const stages = table(
    ['stage', 'lag', 'trend', 'rate/s', 'backlog', 'reflected', 'behind', 'state', 'last error'],
    status.stages.map((stage) => [
      stage.stage,
      inSeconds(stage.lagSeconds),
      stage.lagTrend ?? '-',
      perSecond(stage.ratePerSecond),
      or(stage.backlog, String),
      stage.reflectedLsn,
      bytes(stage.behindBytes),
      stateOf(stage),
      stage.lastError === null ? '-' : `${stage.lastErrorAt ?? ''} ${stage.lastError}`,
    ]),
  )
  const { slot, workers, partitions } = status
  const lines = [stages, '']
  if (workers.length > 0) lines.push(renderWorkers(workers), '')
  if (partitions.length > 0) lines.push(renderPartitions(partitions), '')
  lines.push(
    slot === null
      ? 'slot: none yet'
      : `slot ${slot.name}: ${slot.active ? 'read' : 'NOT READ by anyone'}, ${slot.walStatus ?? 'unknown'}, ${bytes(slot.retainedBytes)} of WAL kept`,
  )
  for (const stream of status.connectors) {
    const progress = stream.done === null ? '' : ` ${stream.done}${stream.total === null ? '' : ` of ${stream.total}`}`
    lines.push(`connector ${stream.connector} ${stream.stream}:${progress} at ${stream.updatedAt}`)
  }
  for (const { model, label, count } of status.classifications) lines.push(`model ${model}: ${count} ${label}`)
  if (status.edited.length > 0) {
    lines.push(`edited under their version, and not answered for: ${status.edited.join(', ')} (rescore plan)`)
  }
  lines.push(...timerLines(status.timers))
  if (status.quarantined > 0) lines.push(`kept aside: ${status.quarantined} entities that cannot be computed`)
  for (const { entity, backfill, count } of status.silenced) {
    lines.push(`${entity}: ${count} computed silently by backfill ${backfill}, not scored since`)
  }
  for (const { entity, feature, rule, count, accepted, effect, oldestSeconds } of status.violations) {
    const age = accepted === count ? 'all accepted' : `the oldest for ${ageText(oldestSeconds)}`
    lines.push(`expected otherwise: ${entity}.${feature} ${rule}: ${count} values, ${EFFECT_TEXT[effect]}, ${age}`)
  }
  if (status.violations.length > 0) lines.push('  see which: rescore expectations')
  if (status.rejected > 0) lines.push(`rejected: ${status.rejected} records that could not be landed`)
  if (status.unpublished > 0) {
    lines.push(`published without large columns: ${status.unpublished} changes (rescore unpublished list)`)
  }
  lines.push(...renderPast(status.past))
  return lines.join('\n')
}

export function statusCommand(): Command {
  return command(
    'status',
    'How far each stage is: lag and its trend, rate, backlog, last error, reflected position; over Kafka who has what',
    [
      ['rescore status', 'one screen for the service of this folder or DATABASE_URL'],
      ["rescore status --json | jq '.stages[].lagSeconds'", 'the lag of each stage, for a script'],
    ],
  ).action(async (options: Common) => {
    const status = await withConnection(({ pool }) => readStatus(pool))
    if (options.json === true) printJson(status)
    else print(renderStatus(status))
  })
}
