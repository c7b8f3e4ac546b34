/** `rescore status`: one screen of how the service is doing. */
import type { Command } from 'commander'
import { readStatus, type Status } from '../observe/status.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { bytes, print, printJson, table } from './output.ts'

const or = <T>(value: T | null, text: (value: T) => string) => (value === null ? '-' : text(value))

function renderPartitions(partitions: Status['partitions']): string {
  return table(
    ['stage', 'topic', 'partition', 'owner', 'lag', 'trend', 'next offset', 'moved at'],
    partitions.map((one) => [
      one.stage,
      one.topic,
      String(one.partition),
      one.owner ?? '-',
      or(one.lagSeconds, (seconds) => `${seconds.toFixed(2)} s`),
      one.lagTrend ?? '-',
      one.nextOffset,
      one.movedAt,
    ]),
  )
}

export function renderStatus(status: Status): string {
  const stages = table(
    ['stage', 'lag', 'trend', 'rate/s', 'backlog', 'reflected', 'behind', 'state', 'last error'],
    status.stages.map((stage) => [
      stage.stage,
      or(stage.lagSeconds, (seconds) => `${seconds.toFixed(2)} s`),
      stage.lagTrend ?? '-',
      or(stage.ratePerSecond, (rate) => rate.toFixed(1)),
      String(stage.backlog),
      stage.reflectedLsn,
      bytes(stage.behindBytes),
      stage.sweeping ? 'catching up' : 'live',
      stage.lastError === null ? '-' : `${stage.lastErrorAt ?? ''} ${stage.lastError}`,
    ]),
  )
  const { slot, partitions } = status
  const lines = [stages, '']
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
  if (status.quarantined > 0) lines.push(`kept aside: ${status.quarantined} entities that cannot be computed`)
  if (status.rejected > 0) lines.push(`rejected: ${status.rejected} records that could not be landed`)
  return lines.join('\n')
}

export function statusCommand(): Command {
  return command('status', 'How far each stage is: lag and its trend, rate, backlog, last error, reflected position', [
    ['rescore status', 'one screen for the service of this folder or DATABASE_URL'],
    ["rescore status --json | jq '.stages[].lagSeconds'", 'the lag of each stage, for a script'],
  ]).action(async (options: Common) => {
    const status = await withConnection(({ pool }) => readStatus(pool))
    if (options.json === true) printJson(status)
    else print(renderStatus(status))
  })
}
