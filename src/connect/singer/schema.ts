/** The properties of a tap's SCHEMA as fields of a source, in its own words. Pure. */
import type { SourceField } from '../../define/index.ts'

function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** `string`, `integer`, `string (date-time)`, `integer or string`; whether it may be null is no part of a type. */
function typeOf(schema: unknown): string {
  if (!isFields(schema)) return 'any'
  const { type, format, anyOf, oneOf } = schema
  const choices = Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : []
  const names = Array.isArray(type) ? type.map(String) : typeof type === 'string' ? [type] : choices.map(typeOf)
  const named = [...new Set(names)].filter((name) => name !== 'null').sort()
  const word = named.length === 0 ? 'any' : named.join(' or ')
  return typeof format === 'string' ? `${word} (${format})` : word
}

export function fieldsOf(properties: Readonly<Record<string, unknown>>): readonly SourceField[] {
  return Object.entries(properties).map(([name, schema]) => ({ name, type: typeOf(schema) }))
}
