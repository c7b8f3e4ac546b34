/**
 * JSON without loss: a number that a JavaScript number cannot hold comes as bigint, or as its text if it has a fraction.
 * Invariant: everything else is what JSON.parse makes of it; the slow way is taken only by a text that holds such a number.
 */

/** Sixteen digits may be beyond 2^53; fewer are not. An exponent of three digits may be beyond every number. */
const LONG_NUMBER = /[0-9.]{16}|\de\+?\d{3}/i

interface Source {
  readonly source?: string
}

function exact(this: unknown, _key: string, value: unknown, context?: Source): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value
  const { source } = context
  if (!Number.isFinite(value)) return source
  if (/^-?\d+$/.test(source)) return Number.isSafeInteger(value) ? value : BigInt(source)
  const digits = source.replace(/e.*$/i, '').replace(/^-?0*\.?0*|\./g, '')
  return digits.length > 15 && String(value) !== source ? source : value
}

/** @throws SyntaxError */
export function parseJson(text: string): unknown {
  return LONG_NUMBER.test(text) ? JSON.parse(text, exact) : JSON.parse(text)
}
