/**
 * The batch recipe's own jobs (../shared/recipes/batch), unchanged, on the same server and rows as the service.
 *
 * Every figure is the median of several runs by wall time. "Every row changes": stored results are emptied before, so
 * each row is written; "no row changes": the job runs again on its own results.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createPool, type Pool } from '../src/db/pool.ts'
import { type BenchContext, RECIPE_DATABASE } from './context.ts'
import type { Figures, Skipped } from './measurement.ts'
import { preparePython } from './python.ts'

const run = promisify(execFile)
const RECIPE = fileURLToPath(new URL('../../shared/recipes/batch/', import.meta.url))
const SCRIPTS = ['feat.py', 'batch_job.py', 'pg_bound.py', 'make_batch_model.py']
/** pg_bound.py writes this many results whatever the database holds. */
const PG_BOUND_ROWS = 100_000

/** What batch_job.py prints; the fields that are read here. */
export interface BatchRun {
  readonly wall_s: number
  readonly entities_per_s: number
  readonly rows_changed: number
  readonly peak_rss_mb: number
}

export interface BatchFigures {
  readonly pandas: { readonly everyRowChanges: BatchRun; readonly noRowChanges: BatchRun }
  readonly polars: { readonly everyRowChanges: BatchRun; readonly noRowChanges: BatchRun }
  readonly postgresBound: Figures | Skipped
}

/** @param onResults called while the recipe's database holds the results of a job */
export async function batchJobs(
  context: BenchContext,
  onResults: (pool: Pool) => Promise<void>,
): Promise<BatchFigures | Skipped> {
  const { say, signal, server } = context
  if (!existsSync(join(RECIPE, 'batch_job.py'))) return { skipped: `${RECIPE} does not exist.` }
  const python = await preparePython(join(RECIPE, 'requirements.txt'), { say, signal })
  if ('skipped' in python) return python
  await context.recipeDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'rescore-batch-'))
  const pool = createPool({ url: context.urlOf(RECIPE_DATABASE), applicationName: 'rescore bench', max: 1 })
  try {
    for (const script of SCRIPTS) await copyFile(join(RECIPE, script), join(folder, script))
    const { password } = new URL(server.url)
    const env = {
      ...process.env,
      PGPORT: String(server.port),
      PGPASSWORD: decodeURIComponent(password),
      MODEL: join(folder, 'model.joblib'),
    }
    const script = async (name: string, ...args: readonly string[]) => {
      const { stdout } = await run(python.program, [join(folder, name), ...args], { env, signal })
      return stdout
    }
    say('batch: fitting the recipe’s model')
    await script('make_batch_model.py')
    const pandas = await bothCases(context, pool, () => script('batch_job.py', 'pandas'))
    const polars = await bothCases(context, pool, () => script('batch_job.py', 'polars'))
    await onResults(pool)
    return { pandas, polars, postgresBound: await postgresBound(context, script) }
  } finally {
    await pool.end()
    await rm(folder, { recursive: true, force: true })
  }
}

async function bothCases({ scale, say }: BenchContext, pool: Pool, job: () => Promise<string>) {
  const every: BatchRun[] = []
  const none: BatchRun[] = []
  for (let round = 0; round < (scale < 1 ? 1 : 3); round += 1) {
    await pool.query('update companies set growth_label = null, growth_prob = null, scored_at = null')
    await pool.query('vacuum companies')
    every.push(JSON.parse(await job()))
    none.push(JSON.parse(await job()))
    say(`batch: ${JSON.stringify(every.at(-1))}`)
  }
  return { everyRowChanges: middle(every), noRowChanges: middle(none) }
}

/** The run with the median wall time. */
function middle(runs: readonly BatchRun[]): BatchRun {
  const sorted = runs.toSorted((a, b) => a.wall_s - b.wall_s)
  const found = sorted[Math.floor(sorted.length / 2)]
  if (found === undefined) throw new RangeError('There are no runs.')
  return found
}

async function postgresBound(
  { sizes, say }: BenchContext,
  script: (name: string, ...args: readonly string[]) => Promise<string>,
): Promise<Figures | Skipped> {
  if (sizes.companies !== PG_BOUND_ROWS) {
    return { skipped: `pg_bound.py is written for ${PG_BOUND_ROWS} companies; this run has ${sizes.companies}.` }
  }
  say('batch: PostgreSQL alone')
  const runs: (Figures & { readonly total_s: number })[] = []
  for (const seed of ['1', '2', '3']) runs.push(JSON.parse(await script('pg_bound.py', 'text', seed)))
  return runs.toSorted((a, b) => a.total_s - b.total_s)[1] ?? {}
}
