/** What is wrong with the past: rows without a month, a rule that is not applied, or not to its end. */
import type { Pool } from '../db/pool.ts'
import type { ProjectConfig } from '../define/index.ts'
import { asError, isRescoreError } from '../errors.ts'
import { compileGraph } from '../graph/compile.ts'
import { readPastSummary } from '../history/describe.ts'
import { parseInstant } from '../history/instant.ts'
import { readNow } from '../history/partitions.ts'
import { isForEver, ruleOf } from '../history/rule.ts'
import type { Problem } from './doctor.ts'

const DAY_MICROS = 86_400_000_000n
const CHECK = 'history'

export async function examineHistory(pool: Pool, config: ProjectConfig): Promise<readonly Problem[]> {
  let hasRule = false
  try {
    hasRule = !isForEver(ruleOf(config.history, compileGraph(config).entities.keys()))
  } catch (thrown) {
    const { message } = asError(thrown)
    return [{ check: CHECK, message, mend: isRescoreError(thrown) ? thrown.mend : 'Mend rescore.config.ts.' }]
  }
  const { strays, lastRun } = await readPastSummary(pool)
  const problems: Problem[] = []
  if (strays > 0) {
    const message = `${strays} rows of the histories found no month of their own.`
    problems.push({
      check: CHECK,
      message,
      mend: 'A running service moves them within the hour; now: rescore retention run',
    })
  }
  if (!hasRule) return problems
  const ended = parseInstant(lastRun?.endedAt ?? '')
  if (ended === null || (await readNow(pool)) - ended > DAY_MICROS) {
    const message = 'The rule for the past was not applied to its end within the last day.'
    problems.push({ check: CHECK, message, mend: 'Start the service, or: rescore retention run' })
  }
  if (lastRun !== null && lastRun.error !== null) {
    const mend = 'It is tried again by itself; end what holds the table, or: rescore retention run'
    problems.push({ check: CHECK, message: `The last run of the rule left something: ${lastRun.error}`, mend })
  }
  return problems
}
