/**
 * A PostgreSQL of a test's own, to crash and to reconfigure.
 * Invariant: disposing stops it and removes its folder, whatever state it is in.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts'
import { createPool, type Pool } from '../../src/db/pool.ts'
import type { Place } from './running.ts'

export interface OwnServer extends Place, AsyncDisposable {
  readonly pool: Pool
  /** Stops it as a crash does and starts it again on the same port. */
  crash(): Promise<void>
}

export async function startOwnServer(): Promise<OwnServer> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-chaos-'))
  // The folder above the data must be passable for the user PostgreSQL runs as.
  await chmod(folder, 0o755)
  const dataDir = join(folder, 'pg')
  let server: EmbeddedPostgres = await startEmbeddedPostgres({ dataDir })
  const { url, port } = server
  const pool = createPool({ url, applicationName: 'rescore test', max: 8 })
  return {
    name: 'own',
    url,
    pool,
    crash: async () => {
      await server.stop('immediate')
      server = await startEmbeddedPostgres({ dataDir, port })
    },
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      await server.stop('immediate')
      await rm(folder, { recursive: true, force: true })
    },
  }
}
