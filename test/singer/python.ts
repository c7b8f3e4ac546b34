/** The taps of the tests, and whether there is a Python to run them. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { asError } from '../../src/errors.ts'

export const SCRIPTED = resolve(import.meta.dirname, 'taps/scripted.py')
export const ACME_TAP = resolve(import.meta.dirname, 'taps/acme.py')

const ASK = 'import sys, venv, ensurepip; sys.exit(1) if sys.version_info < (3, 9) else print(sys.executable)'

function find():
  | { readonly python: string; readonly why: undefined }
  | { readonly python: undefined; readonly why: string } {
  try {
    return { python: execFileSync('python3', ['-c', ASK], { encoding: 'utf8', stdio: 'pipe' }).trim(), why: undefined }
  } catch (error) {
    const [words] = asError(error).message.split('\n')
    return { python: undefined, why: `Singer taps are not tried: no python3 of 3.9 or newer with venv (${words})` }
  }
}

const found = find()

/** Without a shim in front of it. */
export const PYTHON = found.python ?? 'python3'

/** Why Singer taps cannot be tried here, which is also printed; undefined when they can. */
export const whyNoPython = found.why
if (whyNoPython !== undefined) process.stderr.write(`${whyNoPython}\n`)
