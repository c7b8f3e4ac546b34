/** Reads a request's JSON; what has another shape is refused as HubSpot refuses it. */
import { invalid } from './failure.ts'

export type JsonObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function objectOf(value: unknown, what: string): JsonObject {
  if (!isObject(value)) throw invalid(`Invalid input JSON: ${what} must be an object`)
  return value
}

export function listOf(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return []
  if (!Array.isArray(value)) throw invalid(`Invalid input JSON: ${what} must be a list`)
  return value
}

export function stringsOf(value: unknown, what: string): readonly string[] {
  return listOf(value, what).map((item) => {
    if (typeof item !== 'string') throw invalid(`Invalid input JSON: ${what} must hold text`)
    return item
  })
}

/** At most `most` inputs. */
export function inputsOf(body: unknown, most: number): readonly JsonObject[] {
  const inputs = listOf(objectOf(body, 'body').inputs, 'inputs')
  if (inputs.length === 0) throw invalid('Invalid input JSON: inputs is required')
  if (inputs.length > most) throw invalid(`The maximum number of inputs supported in a batch request is ${most}`)
  return inputs.map((input) => objectOf(input, 'an input'))
}

/** A record id: digits, as text or number. undefined: cannot name a record. */
export function idOf(value: unknown): number | undefined {
  const id = Number(typeof value === 'string' || typeof value === 'number' ? value : Number.NaN)
  return Number.isSafeInteger(id) && id > 0 ? id : undefined
}

/** Values to write: text, numbers, booleans or null. */
export function valuesOf(value: unknown): Readonly<Record<string, string | number | boolean | null>> {
  const entries = Object.entries(objectOf(value ?? {}, 'properties')).map(([name, item]) => {
    if (item !== null && typeof item !== 'string' && typeof item !== 'number' && typeof item !== 'boolean') {
      throw invalid(`Invalid input JSON: the value of ${name} must be text`)
    }
    return [name, item] as const
  })
  return Object.fromEntries(entries)
}
