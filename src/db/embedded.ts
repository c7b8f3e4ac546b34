/**
 * The embedded PostgreSQL 18: created, started, found running, stopped.
 *
 * Invariants: one server per data folder; it lives in its own process group, so Ctrl-C in the terminal reaches Rescore
 * first; a password is drawn once and kept beside the data, readable by the owner only. When Rescore dies the server
 * lives on and the next start finds and uses it; when the server dies, its own recovery does the rest.
 */
import { execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, openSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { RescoreError } from '../errors.ts'
import { sleep } from './backoff.ts'
import { type Binaries, prepareBinaries } from './embedded-binaries.ts'
import { createClient } from './pool.ts'

const run = promisify(execFile)
const START_TIMEOUT_MS = 60_000
const STOP_TIMEOUT_MS = 30_000

export interface EmbeddedOptions {
  readonly dataDir: string
  /** Default: a free one. */
  readonly port?: number
  readonly settings?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

export interface EmbeddedPostgres {
  readonly url: string
  readonly port: number
  readonly dataDir: string
  readonly pid: number
  /** fast: clients are disconnected, nothing to recover. immediate: as a crash. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  wal_level: 'logical',
  max_replication_slots: '64',
  max_wal_senders: '64',
  max_connections: '200',
  max_slot_wal_keep_size: '8GB',
  shared_buffers: '256MB',
  max_wal_size: '2GB',
  checkpoint_timeout: '15min',
  wal_compression: 'pglz',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

async function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
    server.once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => done(port))
    })
  })
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** The running server of a data folder, from its lock file. */
async function runningServer(dataDir: string): Promise<{ pid: number; port: number } | null> {
  const lock = join(dataDir, 'postmaster.pid')
  if (!existsSync(lock)) return null
  const lines = (await readFile(lock, 'utf8')).split('\n')
  const pid = Number(lines[0])
  const port = Number(lines[3])
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid)) return null
  // A number reused by another program after a crash is not our server.
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => 'postgres')
  return command.includes('postgres') ? { pid, port } : null
}

async function initialise(binaries: Binaries, dataDir: string, passwordFile: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const { uid, gid } = binaries.runAs
  const password = randomBytes(24).toString('base64url')
  const handover = `${dataDir}.password`
  await writeFile(handover, password, { mode: 0o600 })
  if (uid !== undefined && gid !== undefined) {
    await chown(dataDir, uid, gid)
    await chown(handover, uid, gid)
  }
  try {
    const flags = ['-D', dataDir, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${handover}`]
    await run(binaries.initdb, [...flags, '-E', 'UTF8', '--locale=C.UTF-8', '--no-instructions'], {
      ...binaries.runAs,
      cwd: '/',
    })
  } catch (error) {
    await rm(dataDir, { recursive: true, force: true })
    throw new RescoreError({
      code: 'DB_EMBEDDED_INIT',
      fate: 'stop',
      message: `The embedded PostgreSQL could not create its data in ${dataDir}.`,
      mend: 'See the cause; as root, every folder above must be passable for the user postgres (chmod o+x).',
      cause: error,
    })
  } finally {
    await rm(handover, { force: true })
  }
  await writeFile(passwordFile, password, { mode: 0o600 })
}

async function waitUntilReady(url: string, exited: () => string | null, signal?: AbortSignal): Promise<void> {
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const client = createClient({ url, applicationName: 'rescore start-up' })
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      const reason = exited()
      if (reason !== null || Date.now() > deadline) {
        throw new RescoreError({
          code: 'DB_EMBEDDED_START',
          fate: 'stop',
          message: `The embedded PostgreSQL did not start${reason === null ? ' in time' : `: ${reason}`}.`,
          mend: 'Its own words are in the log file postgres.log beside the data folder.',
          cause: error,
        })
      }
      await sleep(30, signal)
    }
  }
}

/** Creates the data folder where it is missing, and starts its server or finds it running. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  const passwordFile = join(dirname(dataDir), 'pg-password')
  await mkdir(dirname(dataDir), { recursive: true })
  const binaries = await prepareBinaries()
  if (!existsSync(join(dataDir, 'PG_VERSION')) || !existsSync(passwordFile)) {
    await initialise(binaries, dataDir, passwordFile)
  }
  const password = (await readFile(passwordFile, 'utf8')).trim()
  const urlOf = (port: number) => `postgresql://postgres:${password}@127.0.0.1:${port}/postgres`

  const found = await runningServer(dataDir)
  if (found !== null) {
    await waitUntilReady(urlOf(found.port), () => (isAlive(found.pid) ? null : 'it exited'), options.signal)
    return server(dataDir, found.pid, found.port, urlOf(found.port))
  }
  await rm(join(dataDir, 'postmaster.pid'), { force: true })

  const port = options.port ?? (await freePort())
  const settings = { ...SETTINGS, ...options.settings, port: String(port) }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const logFile = join(dirname(dataDir), 'postgres.log')
  const output = openSync(logFile, 'a', 0o640)
  await chmod(logFile, 0o644)
  const child = spawn(binaries.postgres, ['-D', dataDir, ...flags], {
    ...binaries.runAs,
    cwd: '/',
    detached: true,
    stdio: ['ignore', output, output],
  })
  let ended: string | null = null
  child.once('exit', (code, signal) => {
    ended = `it exited with ${signal ?? `code ${code}`}`
  })
  child.once('error', (error) => {
    ended = error.message
  })
  child.unref()
  await waitUntilReady(urlOf(port), () => ended, options.signal)
  return server(dataDir, child.pid ?? 0, port, urlOf(port))
}

function server(dataDir: string, pid: number, port: number, url: string): EmbeddedPostgres {
  return {
    url,
    port,
    dataDir,
    pid,
    stop: async (mode = 'fast') => {
      if (!isAlive(pid)) return
      process.kill(pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
      const deadline = Date.now() + STOP_TIMEOUT_MS
      while (isAlive(pid) && existsSync(join(dataDir, 'postmaster.pid'))) {
        if (Date.now() > deadline) {
          throw new RescoreError({
            code: 'DB_EMBEDDED_STOP',
            fate: 'stop',
            message: `The embedded PostgreSQL (process ${pid}) did not stop.`,
            mend: `See postgres.log beside ${dataDir}; kill -QUIT ${pid} stops it at once, nothing is lost.`,
          })
        }
        await sleep(20)
      }
    },
  }
}
