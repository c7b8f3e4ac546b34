/**
 * A Python with packages from PyPI, in a virtual environment of its own, built once per list of packages.
 * Invariant: an environment that stands under its name is whole: it is built beside and renamed. Programs are run as
 * `python -m`, because scripts in a renamed environment name the old one.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { asError } from '../../src/errors.ts'

const run = promisify(execFile)
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rescore')

export type Python =
  | { readonly program: string; readonly why: undefined }
  | { readonly program: undefined; readonly why: string }

/** @returns the interpreter, or why there is none, which is also printed */
export async function pythonWith(label: string, packages: readonly string[]): Promise<Python> {
  const mark = createHash('sha256').update(packages.join('\n')).digest('hex').slice(0, 12)
  const folder = join(CACHE, `python-${label}-${mark}`)
  const program = join(folder, 'bin', 'python')
  if (existsSync(program)) return { program, why: undefined }
  await mkdir(CACHE, { recursive: true })
  const making = await mkdtemp(`${folder}.`)
  try {
    await run('python3', ['-m', 'venv', making])
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...packages]
    await run(join(making, 'bin', 'python'), pip)
    // Whoever was quicker made the same.
    await rename(making, folder).catch((error: unknown) => {
      if (!existsSync(program)) throw error
    })
    return { program, why: undefined }
  } catch (error) {
    const why = `no python3 with ${label} from PyPI (${asError(error).message.split('\n')[0]})`
    process.stderr.write(`Not tried: ${why}\n`)
    return { program: undefined, why }
  } finally {
    await rm(making, { recursive: true, force: true })
  }
}
