/**
 * A PostgreSQL of its own, for tests that need server-wide settings or a server on which nothing else is written.
 * Invariant: disposing stops it and removes its folder; the server is migrated and otherwise empty.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { createPool, type Pool } from '../../src/db/pool.ts'

export interface OwnServer extends AsyncDisposable {
  readonly url: string
  readonly pool: Pool
  /** Stops it and starts it again on the same data with other settings; `pool` and `url` are new after it. */
  restart(settings: Readonly<Record<string, string>>): Promise<void>
  /** Ends it as a crash does and starts it again under the same address. */
  crash(): Promise<void>
}

export async function startOwnServer(settings: Readonly<Record<string, string>> = {}): Promise<OwnServer> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-own-'))
  // The folder above the data must be passable for the user PostgreSQL runs as.
  await chmod(folder, 0o755)
  const start = (more: Readonly<Record<string, string>>, port?: number) =>
    startEmbeddedPostgres({
      dataDir: join(folder, 'pg'),
      ...(port === undefined ? {} : { port }),
      settings: { autovacuum: 'off', shared_buffers: '64MB', max_connections: '50', ...settings, ...more },
    })
  const connect = (server: EmbeddedPostgres) => createPool({ url: server.url, applicationName: 'rescore test', max: 6 })
  let server = await start({})
  let pool = connect(server)
  await migrate(pool)
  return {
    get url() {
      return server.url
    },
    get pool() {
      return pool
    },
    restart: async (more) => {
      await pool.end()
      await server.stop('fast')
      server = await start(more)
      pool = connect(server)
    },
    crash: async () => {
      await server.stop('immediate')
      server = await start({}, server.port)
    },
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      await server.stop('immediate')
      await rm(folder, { recursive: true, force: true })
    },
  }
}
