/** Why a call to a source failed. The kind decides what the runtime does next; a connector only has to name it. */

export type SourceErrorKind =
  /** Wait until `retryAtMs` (or back off), then repeat. */
  | 'rate-limited'
  /** Back off and repeat. */
  | 'transient'
  /** The credential is refused: stop this connector and say so. */
  | 'auth'
  /** The request or the configuration is wrong: stop this connector and say so. */
  | 'config'

export class SourceError extends Error {
  readonly kind: SourceErrorKind
  readonly code: string
  readonly mend: string
  readonly retryAtMs: number | undefined

  constructor(options: {
    kind: SourceErrorKind
    code: string
    message: string
    mend: string
    retryAtMs?: number | undefined
    cause?: unknown
  }) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SourceError'
    this.kind = options.kind
    this.code = options.code
    this.mend = options.mend
    this.retryAtMs = options.retryAtMs
  }
}
