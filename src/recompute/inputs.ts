/**
 * What a compute function is called with: exactly its declared inputs.
 * Invariant: in strict mode reading anything else is an error even when the function catches it, so the declared lineage
 * is the real one.
 */
import { RescoreError } from '../errors.ts'

export type Inputs = Record<string, unknown>

/** Read by the language or by inspection, not by a function that wants an input. */
function isReadByLanguage(name: string): boolean {
  return name in Object.prototype || name === 'toJSON' || name === 'then'
}

function undeclared(feature: string, name: string): RescoreError {
  return new RescoreError({
    code: 'FEATURE_UNDECLARED_INPUT',
    fate: 'stop',
    message: `Feature '${feature}' reads '${name}', which is not among its inputs.`,
    mend: `Declare '${name}' in the inputs of '${feature}', or do not read it.`,
    context: { feature, input: name },
  })
}

/**
 * Runs `compute` with inputs that refuse undeclared names.
 * @throws RescoreError FEATURE_UNDECLARED_INPUT, or whatever `compute` throws
 */
export function withStrictInputs<T>(feature: string, inputs: Inputs, compute: (inputs: Inputs) => T): T {
  const violations: RescoreError[] = []
  const guarded = new Proxy(inputs, {
    get: (target, name) => {
      if (typeof name === 'symbol' || Object.hasOwn(target, name) || isReadByLanguage(name)) {
        return Reflect.get(target, name)
      }
      const violation = undeclared(feature, name)
      violations.push(violation)
      throw violation
    },
  })
  let value: T
  try {
    value = compute(guarded)
  } catch (error) {
    throw violations[0] ?? error
  }
  if (violations[0] !== undefined) throw violations[0]
  return value
}
