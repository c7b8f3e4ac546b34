/**
 * The batch recipe's Python: a virtual environment in the user's cache folder, made once for its requirements.
 * Invariant: an environment counts only with its mark, written after the last package: a build that was cut is redone.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { asError } from '../src/errors.ts'
import type { Skipped } from './measurement.ts'

const run = promisify(execFile)

export interface Python {
  readonly program: string
}

export async function preparePython(
  requirements: string,
  { say, signal }: { readonly say: (text: string) => void; readonly signal: AbortSignal },
): Promise<Python | Skipped> {
  const mark = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 12)
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rescore-bench')
  const folder = join(cache, `python-${mark}`)
  const program = join(folder, 'bin', 'python')
  const complete = join(folder, 'complete')
  if (existsSync(complete)) return { program }
  say(`batch: installing the recipe's Python packages into ${folder}`)
  try {
    await rm(folder, { recursive: true, force: true })
    await mkdir(cache, { recursive: true })
    await run('python3', ['-m', 'venv', folder], { signal })
    await run(program, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements], {
      signal,
    })
    await writeFile(complete, '')
    return { program }
  } catch (error) {
    signal.throwIfAborted()
    return { skipped: `Python 3 with the recipe's packages is not to be had: ${asError(error).message.split('\n')[0]}` }
  }
}
