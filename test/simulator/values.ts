/** Property values as HubSpot keeps them: text, whatever their type. */
import type { PropertyDefinition, PropertyType } from './schema.ts'

export type PropertyInput = string | number | boolean | null
export type PropertyInputs = Readonly<Record<string, PropertyInput>>

const EPOCH_MS = /^-?\d{1,15}$/

/** '' clears. A time given in milliseconds is kept as ISO text; anything unreadable is kept as it is. */
export function storedValue(type: PropertyType | undefined, input: PropertyInput): string {
  const text = input === null ? '' : String(input)
  if (type === 'datetime' && EPOCH_MS.test(text)) {
    const time = new Date(Number(text))
    if (!Number.isNaN(time.getTime())) return time.toISOString()
  }
  return text
}

/** Why the API refuses to write this value; undefined: it takes it. */
export function refusal(definition: PropertyDefinition, value: string): string | undefined {
  const { name, type, options, readOnly } = definition
  if (readOnly) return `"${name}" is a read only property; its value cannot be set.`
  if (value === '') return undefined
  if (type === 'number' && !Number.isFinite(Number(value))) return `${value} was not a valid number.`
  if (type === 'bool' && !/^(true|false)$/i.test(value)) return `${value} was not a valid boolean.`
  if (type === 'datetime' && !EPOCH_MS.test(value) && Number.isNaN(Date.parse(value))) {
    return `${value} was not a valid long.`
  }
  if (type === 'enumeration' && options.length > 0 && !value.split(';').every((part) => options.includes(part))) {
    return `${value} was not one of the allowed options: [${options.join(', ')}]`
  }
  return undefined
}
