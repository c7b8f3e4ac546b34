/** Errors of models: `stop` for what only its owner can mend, `retry` for what another attempt may get past. */
import { type Fate, RescoreError } from '../errors.ts'

export function modelError(options: {
  readonly code: `MODEL_${string}`
  readonly model: string
  readonly message: string
  readonly mend: string
  readonly fate?: Fate
  readonly cause?: unknown
}): RescoreError {
  const { code, model, message, mend, fate = 'stop', cause } = options
  return new RescoreError({ code, fate, message, mend, cause, context: { model } })
}
