/**
 * What a measurement gets: sizes, a PostgreSQL server made for this run, and databases of its own on it.
 *
 * Invariant: the server runs with the settings the product ships (fsync and synchronous_commit on); everything is under
 * one temporary folder and gone after the run. A killed run leaves that folder and its server behind.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/db/embedded.ts'
import { createPool, type Pool, quoteIdent } from '../src/db/pool.ts'
import { type CrmSizes, fillCrm, prepareForRescore } from './crm-data.ts'

/** The recipe's jobs connect to a database of this name. */
export const RECIPE_DATABASE = 'crm'

/** Sizes at scale 1: those of the batch recipe. */
const FULL: CrmSizes = { companies: 100_000, contacts: 300_000, deals: 200_000 }

export interface BenchContext {
  readonly scale: number
  /** Rows of the recipe's tables at this scale. */
  readonly sizes: CrmSizes
  readonly server: EmbeddedPostgres
  readonly signal: AbortSignal
  /** A line of progress. */
  say(text: string): void
  /** `count` at this scale, at least `atLeast`. */
  scaled(count: number, atLeast?: number): number
  urlOf(database: string): string
  /** The recipe's database, filled once a run and unchanged but by the batch jobs. */
  recipeDatabase(): Promise<void>
  /** A database with the recipe's rows, ready to be watched; or with other sizes. */
  createCrm(label: string, sizes?: CrmSizes): Promise<BenchDatabase>
  createEmpty(label: string): Promise<BenchDatabase>
}

export interface BenchDatabase extends AsyncDisposable {
  readonly name: string
  readonly url: string
  readonly pool: Pool
}

/** Moves `count` to this scale: whole, and not below `atLeast`. */
export function scaleCount(count: number, scale: number, atLeast = 1): number {
  return Math.max(atLeast, Math.round(count * scale))
}

export interface OpenOptions {
  readonly scale: number
  readonly signal: AbortSignal
  readonly say: (text: string) => void
}

export async function openContext({ scale, signal, say }: OpenOptions): Promise<BenchContext & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-bench-'))
  // The folder above the data must be passable for the user PostgreSQL runs as.
  await chmod(folder, 0o755)
  const server = await startEmbeddedPostgres({ dataDir: join(folder, 'pg'), signal })
  const admin = createPool({ url: server.url, applicationName: 'rescore bench admin', max: 1 })
  const urlOf = (database: string) => server.url.replace(/\/postgres$/, `/${database}`)
  const scaled = (count: number, atLeast?: number) => scaleCount(count, scale, atLeast)
  const sizes = { companies: scaled(FULL.companies), contacts: scaled(FULL.contacts), deals: scaled(FULL.deals) }
  const open = (name: string): BenchDatabase => {
    const pool = createPool({ url: urlOf(name), applicationName: 'rescore bench', max: 10 })
    return { name, url: urlOf(name), pool, [Symbol.asyncDispose]: () => closeAndDrop(admin, pool, name) }
  }
  let filled = false
  const recipeDatabase = async () => {
    if (filled) return
    say(`filling ${sizes.companies} companies, ${sizes.contacts} contacts, ${sizes.deals} deals`)
    await admin.query(`create database ${RECIPE_DATABASE}`)
    const pool = createPool({ url: urlOf(RECIPE_DATABASE), applicationName: 'rescore bench', max: 1 })
    try {
      await fillCrm(pool, sizes)
    } finally {
      await pool.end()
    }
    filled = true
  }
  const createEmpty = async (label: string) => {
    const name = `bench_${label}`
    await admin.query(`create database ${quoteIdent(name)}`)
    return open(name)
  }
  const createCrm = async (label: string, other?: CrmSizes) => {
    const database = other === undefined ? await cloneOfRecipe(label) : await createEmpty(label)
    if (other !== undefined) {
      say(`filling ${other.companies} companies, ${other.contacts} contacts, ${other.deals} deals`)
      await fillCrm(database.pool, other)
    }
    await prepareForRescore(database.pool)
    return database
  }
  const cloneOfRecipe = async (label: string) => {
    await recipeDatabase()
    const name = `bench_${label}`
    await admin.query(`create database ${quoteIdent(name)} template ${RECIPE_DATABASE} strategy file_copy`)
    return open(name)
  }
  return {
    scale,
    sizes,
    server,
    signal,
    say,
    scaled,
    urlOf,
    recipeDatabase,
    createCrm,
    createEmpty,
    [Symbol.asyncDispose]: async () => {
      await admin.end()
      await server.stop('immediate')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function closeAndDrop(admin: Pool, pool: Pool, name: string): Promise<void> {
  await pool.end()
  await admin.query(
    'select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active',
    [name],
  )
  await admin.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1`, [name])
  await admin.query(`drop database ${quoteIdent(name)} with (force)`)
  // The next measurement starts without the pages this one left to be written.
  await admin.query('checkpoint')
}
