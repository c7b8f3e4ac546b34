/**
 * Runs the plain SQL files of migrations/, forward only.
 *
 * Invariants: each file in one transaction together with its row in rescore.migration; one migrator at a time (advisory
 * lock); an applied file never changes (checksum). A crash leaves whole files applied or not at all.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RescoreError } from '../errors.ts'
import { ADVISORY_LOCK } from './locks.ts'
import type { Client, Pool } from './pool.ts'
import { withTransaction } from './pool.ts'

export interface Migration {
  readonly version: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

export interface MigrateResult {
  readonly applied: readonly Migration[]
  readonly alreadyApplied: number
}

/** The folder with the SQL files: in the repository, or beside dist/ in a package. */
export function migrationsFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  for (;;) {
    const candidate = join(folder, 'migrations')
    if (existsSync(join(candidate, '0001_control.sql'))) return candidate
    const parent = dirname(folder)
    if (parent === folder) {
      throw new RescoreError({
        code: 'DB_MIGRATIONS_MISSING',
        fate: 'stop',
        message: 'The migrations folder is not beside the program.',
        mend: 'Install the package again: npm install rescore.',
      })
    }
    folder = parent
  }
}

export async function readMigrations(folder: string = migrationsFolder()): Promise<readonly Migration[]> {
  const files = (await readdir(folder)).filter((file) => /^\d{4}_\w+\.sql$/.test(file)).sort()
  return Promise.all(
    files.map(async (file) => {
      const sql = await readFile(join(folder, file), 'utf8')
      const checksum = createHash('sha256').update(sql).digest('hex')
      return { version: Number(file.slice(0, 4)), name: file.slice(5, -4), sql, checksum }
    }),
  )
}

async function appliedVersions(client: Client): Promise<ReadonlyMap<number, string>> {
  const found = await client.query<{ exists: boolean }>(`select to_regclass('rescore.migration') is not null as exists`)
  if (found.rows[0]?.exists !== true) return new Map()
  const { rows } = await client.query<{ version: number; checksum: string }>(
    'select version, checksum from rescore.migration order by version',
  )
  return new Map(rows.map((row) => [row.version, row.checksum]))
}

function assertCompatible(migrations: readonly Migration[], applied: ReadonlyMap<number, string>): void {
  for (const [version, checksum] of applied) {
    const migration = migrations.find((candidate) => candidate.version === version)
    if (migration === undefined) {
      throw new RescoreError({
        code: 'DB_NEWER_THAN_CODE',
        fate: 'stop',
        message: `The database has migration ${version}, which this version of Rescore does not know.`,
        mend: 'Run the newer version of Rescore that migrated this database, or restore a backup from before.',
      })
    }
    if (migration.checksum !== checksum) {
      throw new RescoreError({
        code: 'DB_MIGRATION_CHANGED',
        fate: 'stop',
        message: `Migration ${version} (${migration.name}) was applied with another content than the file has now.`,
        mend: 'Put the file back as it was released; changes go into a new migration.',
      })
    }
  }
}

/** What would be applied, without writing anything. */
export async function pendingMigrations(pool: Pool, folder?: string): Promise<readonly Migration[]> {
  const migrations = await readMigrations(folder)
  return withTransaction(pool, { readOnly: true }, async (client) => {
    const applied = await appliedVersions(client)
    assertCompatible(migrations, applied)
    return migrations.filter((migration) => !applied.has(migration.version))
  })
}

export async function migrate(pool: Pool, folder?: string): Promise<MigrateResult> {
  const migrations = await readMigrations(folder)
  const client = await pool.connect()
  const applied: Migration[] = []
  try {
    await client.query('select pg_advisory_lock($1)', [ADVISORY_LOCK.migrate])
    await client.query(`create schema if not exists rescore;
      create table if not exists rescore.migration (
        version integer primary key, name text not null, checksum text not null,
        applied_at timestamptz not null default clock_timestamp())`)
    const before = await appliedVersions(client)
    assertCompatible(migrations, before)
    for (const migration of migrations.filter((candidate) => !before.has(candidate.version))) {
      await applyOne(client, migration)
      applied.push(migration)
    }
    return { applied, alreadyApplied: before.size }
  } finally {
    // Ending the session is what surely frees an advisory lock, whatever state an error left it in.
    client.release(true)
  }
}

async function applyOne(client: Client, migration: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query(migration.sql)
    await client.query('insert into rescore.migration (version, name, checksum) values ($1, $2, $3)', [
      migration.version,
      migration.name,
      migration.checksum,
    ])
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw new RescoreError({
      code: 'DB_MIGRATION_FAILED',
      fate: 'stop',
      message: `Migration ${migration.version} (${migration.name}) failed and was rolled back.`,
      mend: 'See the cause; the role needs CREATE on the database and on schema rescore.',
      cause: error,
    })
  }
}
