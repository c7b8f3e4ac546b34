/**
 * A database of the kit's own: made on the server of `url`, or on an embedded PostgreSQL that lives as long as the kit.
 * Invariant: it is dropped, and the embedded server's folder removed, however the work ends; a kill leaves a database
 * whose name says whose it was.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { createPool, type Pool, quoteIdent } from '../db/pool.ts'
import { SCRATCH_PREFIX } from './bench.ts'

async function onServer<T>(url: string, work: (pool: Pool) => Promise<T>): Promise<T> {
  const name = `${SCRATCH_PREFIX}_${randomBytes(4).toString('hex')}`
  const admin = createPool({ url, applicationName: 'rescore conformance', max: 1 })
  try {
    await admin.query(`create database ${quoteIdent(name)}`)
    const own = new URL(url)
    own.pathname = `/${name}`
    const pool = createPool({ url: own.href, applicationName: 'rescore conformance', max: 4 })
    try {
      await migrate(pool)
      return await work(pool)
    } finally {
      await pool.end()
      await admin.query(`drop database ${quoteIdent(name)} with (force)`)
    }
  } finally {
    await admin.end()
  }
}

/** @param url of a server where databases may be made; undefined: an embedded one */
export async function withScratchDatabase<T>(url: string | undefined, work: (pool: Pool) => Promise<T>): Promise<T> {
  if (url !== undefined) return onServer(url, work)
  const folder = await mkdtemp(join(tmpdir(), 'rescore-conformance-'))
  try {
    // As root the embedded PostgreSQL runs as another user, who has to get through.
    await chmod(folder, 0o755)
    const server = await startEmbeddedPostgres({ dataDir: join(folder, 'pg') })
    try {
      return await onServer(server.url, work)
    } finally {
      await server.stop('immediate')
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
