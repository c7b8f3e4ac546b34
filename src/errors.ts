/**
 * Every error Rescore raises on purpose: a readable code, a fate and a mend.
 *
 * Invariant: the fate is decided where the error is thrown and acted on in one place (the runner of the part that
 * caught it): `retry` backs off and tries again, `dead-letter` keeps the one bad record aside and goes on, `stop`
 * ends the process. An error without a code is a bug of ours and is treated as `retry` with its stack logged.
 */

export type Fate = 'retry' | 'dead-letter' | 'stop'

export interface RescoreErrorOptions {
  /** UPPER_SNAKE code, first word the area: CONFIG_, DB_, CAPTURE_, LOG_, GRAPH_, FEATURE_, MODEL_, CONNECT_, HUBSPOT_, DELIVER_, COPY_, ERASE_, DATASET_, CLI_ */
  readonly code: string
  readonly fate: Fate
  /** What happened and where, in one sentence. */
  readonly message: string
  /** What the reader does about it: a command or a configuration line. */
  readonly mend: string
  readonly cause?: unknown
  /** Identifiers only, never record values or secrets. */
  readonly context?: Readonly<Record<string, unknown>>
}

export class RescoreError extends Error {
  readonly code: string
  readonly fate: Fate
  readonly mend: string
  readonly context: Readonly<Record<string, unknown>>

  constructor(options: RescoreErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RescoreError'
    this.code = options.code
    this.fate = options.fate
    this.mend = options.mend
    this.context = options.context ?? {}
  }
}

/** Shape check, not instanceof: a user's project may hold a second copy of this module. */
export function isRescoreError(error: unknown): error is RescoreError {
  return error instanceof Error && error.name === 'RescoreError' && 'fate' in error && 'mend' in error
}

/** Any thrown value as an Error, its own cause kept. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown), { cause: thrown })
}
