/** The taps of the tests, and whether there is a Python to run them. */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { asError } from '../../src/errors.ts'

export const SCRIPTED = resolve(import.meta.dirname, 'taps/scripted.py')
export const ACME_TAP = resolve(import.meta.dirname, 'taps/acme.py')

/** Why Singer taps cannot be tried here; undefined when they can. */
export function whyNoPython(): string | undefined {
  try {
    execFileSync('python3', ['-c', 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))'], {
      stdio: 'pipe',
    })
    return undefined
  } catch (error) {
    return `Singer taps are not tried: no python3 of 3.9 or newer with venv (${asError(error).message.split('\n')[0]})`
  }
}
