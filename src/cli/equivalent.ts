/** `rescore equivalent`: an edit of a feature's code that changes no value, said on purpose and kept. */
import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { markEquivalent } from '../plan/equivalent.ts'
import { resolveTarget } from './backfill-target.ts'
import { type Common, command } from './command.ts'
import { withConnection } from './connection.ts'
import { print, printJson } from './output.ts'
import { DEFAULT_SAMPLE, parseSample } from './plan.ts'

interface Options extends Common {
  readonly sample: number
  readonly by?: string
}

export function equivalentCommand(signal: AbortSignal): Command {
  return command('equivalent', "Say that an edit of features' code under their version changes no value", [
    ['rescore equivalent company.region', 'tried on a sample first; refused when a value differs there'],
    ['rescore equivalent company --by anna', 'every edited feature of the entity'],
  ])
    .argument('<what...>', 'features, or an entity for all of its edited ones')
    .option('--sample <n>', 'entities to try it on; 0: none', parseSample, DEFAULT_SAMPLE)
    .option('--by <name>', 'who says so (default: the user of this machine)')
    .action(async (what: readonly string[], { sample, by, json }: Options) => {
      const marked = await withConnection(async ({ pool }) => {
        const graph = compileGraph(await loadProject(process.cwd()))
        const markedBy = by ?? `${userInfo().username}@${hostname()}`
        return await markEquivalent({ pool, ...resolveTarget(graph, what), sample, markedBy, signal })
      })
      if (json === true) return printJson(marked)
      const names = marked.features.map(({ feature, version }) => `${marked.entity}.${feature} ${version}`)
      const tried = marked.tried === 0 ? 'not tried' : `no value differs on ${marked.tried} entities`
      print(`${names.join(', ')}: noted as equivalent by ${marked.markedBy} (${tried}); stored values stay`)
    })
}
