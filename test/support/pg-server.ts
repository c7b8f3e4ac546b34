/**
 * One PostgreSQL for a whole test run, with a migrated template that test databases are cloned from.
 * Invariant: nothing is left behind: the server is stopped and its folder removed, also when the run fails.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startEmbeddedPostgres } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { createPool } from '../../src/db/pool.ts'

export const TEMPLATE = 'rescore_template'

declare module 'vitest' {
  export interface ProvidedContext {
    pgUrl: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-test-'))
  // The folder above the data must be passable for the user PostgreSQL runs as.
  const { chmod } = await import('node:fs/promises')
  await chmod(folder, 0o755)
  const server = await startEmbeddedPostgres({
    dataDir: join(folder, 'pg'),
    settings: { max_connections: '300', wal_sender_timeout: '60s', shared_buffers: '512MB' },
  })
  const admin = createPool({ url: server.url, applicationName: 'rescore test set-up', max: 1 })
  await admin.query(`create database ${TEMPLATE}`)
  await admin.end()
  const template = createPool({
    url: server.url.replace(/\/postgres$/, `/${TEMPLATE}`),
    applicationName: 'rescore test set-up',
    max: 1,
  })
  await migrate(template)
  await template.end()
  project.provide('pgUrl', server.url)
  return async () => {
    await server.stop('immediate')
    await rm(folder, { recursive: true, force: true })
  }
}
