/** `rescore verify`: is everything stored what the source tables give? Exit 3 and a list when not. */
import type { Command } from 'commander'
import { loadProject } from '../config.ts'
import { compileGraph } from '../graph/compile.ts'
import { type Difference, type VerifyReport, verify } from '../observe/verify.ts'
import { loadModels } from '../score/registry.ts'
import { type Common, command, parseCount, parseDuration, usage } from './command.ts'
import { withConnection } from './connection.ts'
import { EXIT } from './exit.ts'
import { print, printJson } from './output.ts'

interface Options extends Common {
  readonly all?: boolean
  readonly sample?: number
  readonly timeout: number
}

const DEFAULT_SAMPLE = 1_000

/** One line; source values may hold anything a terminal would act on. */
function differenceLine({ kind, entity, key, what, message }: Difference): string {
  const where = [entity, key, what].filter((part) => part !== null).join(' ')
  return `${kind}  ${where}: ${message}`.replace(/[\p{Cc}\p{Cf}]/gu, '·')
}

export function renderReport(report: VerifyReport): string {
  const {
    entities,
    features,
    classifications,
    stale,
    silenced,
    differences,
    differenceCount,
    isComplete,
    ms,
    reflectedLsn,
  } = report
  const compared = `${entities} entities, ${features} feature values and ${classifications} classifications recomputed`
  const lines = differences.map(differenceLine)
  if (differenceCount > differences.length) lines.push(`and ${differenceCount - differences.length} more`)
  if (!isComplete) lines.push('stopped early: too much differs')
  if (stale > 0) lines.push(`${stale} entities wait for a backfill and are not compared: rescore backfills`)
  if (silenced > 0) {
    lines.push(`${silenced} entities were computed silently and not scored since: their labels are not compared`)
  }
  const verdict = `${differenceCount} differences (${(ms / 1000).toFixed(1)} s, reflected up to ${reflectedLsn})`
  return [...lines, `${compared}: ${verdict}`].join('\n')
}

export function verifyCommand(signal: AbortSignal): Command {
  return command(
    'verify',
    'Recompute from scratch by separate code and compare with what is stored; exit 3 when it differs',
    [
      ['rescore verify --all', 'every entity, and whatever is stored for entities that are gone'],
      ['rescore verify --sample 500 --json', '500 entities at random, for a nightly check'],
    ],
  )
    .option('--all', 'every entity')
    .option('--sample <n>', `entities at random, of each kind (default ${DEFAULT_SAMPLE})`, parseCount)
    .option('--timeout <duration>', 'give up waiting for the stages after this long, exit 1', parseDuration, 60_000)
    .action(async (options: Options) => {
      if (options.all === true && options.sample !== undefined) {
        throw usage('--all and --sample exclude each other.', 'rescore verify --all')
      }
      const sample = options.all === true ? null : (options.sample ?? DEFAULT_SAMPLE)
      const report = await withConnection(async ({ pool, url }) => {
        // Reached first, so that "not reachable" ends with its own exit code.
        await pool.query('select 1')
        const config = await loadProject(process.cwd())
        await using models = await loadModels(config.models, { signal })
        return await verify({
          pool,
          url,
          graph: compileGraph(config),
          models,
          sample,
          signal,
          timeoutMs: options.timeout,
        })
      })
      if (report.differenceCount > 0 || !report.isComplete) process.exitCode = EXIT.problems
      if (options.json === true) printJson(report)
      else print(renderReport(report))
    })
}
