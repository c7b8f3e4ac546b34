/** `rescore unpublished list | replay | drop`: changes that were too large for their topic. */
import type { Command } from 'commander'
import { dropUnpublished, listUnpublished, replayUnpublished } from '../capture/unpublished.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { bytes, print, printJson, table } from './output.ts'

export function unpublishedCommand(): Command {
  const list = command('list', 'The changes that are kept aside, the oldest first', [
    ['rescore unpublished list', 'which there are, and why'],
  ]).action(async ({ json }: Common) => {
    const rows = await withConnection(({ pool }) => listUnpublished(pool))
    if (json === true) return printJson(rows)
    const lines = rows.map((row) => [row.topic, row.position, row.key ?? '-', bytes(row.bytes), row.keptAt, row.reason])
    print(rows.length === 0 ? 'none' : table(['topic', 'position', 'key', 'size', 'kept at', 'reason'], lines))
  })
  const replay = command('replay', 'Write their rows once more, as they are now, so that they are published whole', [
    ['rescore unpublished replay', 'after max.message.bytes of the topics was raised; triggers of the tables run'],
  ]).action(async ({ json }: Common) => {
    const result = await withConnection(({ pool }) => replayUnpublished(pool))
    if (result.replayed < result.tried) process.exitCode = EXIT.problems
    if (json === true) return printJson(result)
    print(`${result.replayed} of ${result.tried} written once more`)
  })
  const drop = command('drop', 'Forget them: what is derived does not depend on them', [
    ['rescore unpublished drop', 'when no other reader of the topics needs the large values'],
  ]).action(async ({ json }: Common) => {
    const dropped = await withConnection(({ pool }) => dropUnpublished(pool))
    if (json === true) return printJson({ dropped })
    print(`${dropped} dropped`)
  })
  const parent = command('unpublished', 'Changes too large for their topic in Kafka: list, replay, drop', [
    ['rescore unpublished list', 'which there are, and why'],
    ['rescore unpublished replay', 'publish their rows whole, after max.message.bytes of the topics was raised'],
  ]).enablePositionalOptions()
  for (const child of [list, replay, drop]) {
    child.exitOverride().showHelpAfterError('(see --help)')
    parent.addCommand(child)
  }
  return parent
}
