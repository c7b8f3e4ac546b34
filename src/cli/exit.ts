/** Exit codes, the same for every command. */
import { isRescoreError, RescoreError } from '../errors.ts'
import { Interrupted } from './signals.ts'

export const EXIT = { ok: 0, failed: 1, usage: 2, problems: 3, unreachable: 4, interrupted: 130 } as const

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EHOSTUNREACH',
  '28P01',
  '28000',
  '3D000',
  '57P03',
])

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}

/** Errors of libraries in our own words, so that everything printed has a code and a mend. */
export function explained(error: unknown): RescoreError {
  if (isRescoreError(error)) return error
  const code = codeOf(error)
  const message = error instanceof Error ? error.message || code : String(error)
  if (UNREACHABLE.has(code)) {
    return new RescoreError({
      code: 'CLI_UNREACHABLE',
      fate: 'stop',
      message: `The database cannot be reached (${code}).`,
      mend: 'Check DATABASE_URL and that PostgreSQL runs there: rescore doctor',
      cause: error,
    })
  }
  if (code === '42P01' || code === '3F000') {
    return new RescoreError({
      code: 'CLI_NOT_MIGRATED',
      fate: 'stop',
      message: `The database is not set up for Rescore: ${message}.`,
      mend: 'rescore migrate',
      cause: error,
    })
  }
  return new RescoreError({
    code: code === '' ? 'UNEXPECTED' : code,
    fate: 'stop',
    message,
    mend: 'Run again with LOG_LEVEL=debug to see where it comes from.',
    cause: error,
  })
}

export function exitCodeOf(error: RescoreError): number {
  if (['CLI_UNREACHABLE', 'CLI_NOT_RUNNING', 'LOG_KAFKA_UNREACHABLE', 'DATASET_S3_AWAY'].includes(error.code)) {
    return EXIT.unreachable
  }
  if (error.code.startsWith('CONFIG_') || error.code === 'CLI_USAGE') return EXIT.usage
  return EXIT.failed
}

/** Of a command that was asked to end before it was done. */
export function interruptedCode(signal: AbortSignal): number {
  return signal.reason instanceof Interrupted ? signal.reason.exitCode : EXIT.interrupted
}

export function isDrainTimeout(error: unknown): boolean {
  return isRescoreError(error) && error.code === 'CLI_DRAIN_TIMEOUT'
}
