/**
 * Exact decimal numbers as PostgreSQL's numeric has them: digits × 10^-scale.
 * Invariant: nothing is rounded before `toNumber`, which gives the nearest float64.
 */

export interface Decimal {
  readonly digits: bigint
  readonly scale: number
}

const DECIMAL = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/

/** @returns null for NaN and infinities @throws TypeError when the text is not a number */
export function parseDecimal(text: string): Decimal | null {
  if (/^[+-]?infinity$|^nan$/i.test(text)) return null
  const match = DECIMAL.exec(text)
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match ?? []
  if (match === null || whole + fraction === '') throw new TypeError(`'${text}' is not a number.`)
  const digits = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n)
  const scale = fraction.length - Number(exponent)
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 }
}

function digitsAt(value: Decimal, scale: number): bigint {
  return value.digits * 10n ** BigInt(scale - value.scale)
}

export function add(a: Decimal, b: Decimal): Decimal {
  const scale = Math.max(a.scale, b.scale)
  return { digits: digitsAt(a, scale) + digitsAt(b, scale), scale }
}

/** Negative, 0 or positive. */
export function compareDecimals(a: Decimal, b: Decimal): number {
  const scale = Math.max(a.scale, b.scale)
  const [left, right] = [digitsAt(a, scale), digitsAt(b, scale)]
  return left < right ? -1 : left > right ? 1 : 0
}

export function toNumber({ digits, scale }: Decimal): number {
  return Number(`${digits}e-${scale}`)
}

/** The same text for equal numbers: 1, 1.0 and 1.00 give '1'. */
export function canonical({ digits, scale }: Decimal): string {
  let [whole, places] = [digits, scale]
  while (places > 0 && whole % 10n === 0n) {
    whole /= 10n
    places -= 1
  }
  return `${whole}e-${places}`
}
