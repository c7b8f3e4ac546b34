/**
 * A value as the source prints it, for the column it is copied into.
 *
 * Invariants: what the column's type takes every value of goes in as it was printed, digit for digit; JSON keeps its
 * numbers as they are written, an array becomes a JSON array; everything else is given as text, and what does not fit is
 * the landing's business. The first copy and the stream come through here alike.
 */
import { type CellValue, type ColumnKind, ExactText } from '../define/index.ts'
import { type ArrayText, parseArray } from './array-text.ts'
import type { SourceType } from './types.ts'

export type Convert = (text: string) => CellValue

const exact: Convert = (text) => new ExactText(text)
const asText: Convert = (text) => text

/** Types whose every value the kind takes as printed. */
const EXACT: Readonly<Partial<Record<ColumnKind, readonly SourceType['kind'][]>>> = {
  number: ['integer', 'numeric'],
  decimal: ['integer', 'numeric'],
  float: ['integer', 'float'],
  boolean: ['boolean'],
  date: ['date'],
  timestamp: ['timestamptz'],
  uuid: ['uuid'],
}

/** `2024-01-01 00:00:00 BC` is UTC by agreement; infinity has no zone. */
const inUtc: Convert = (text) => new ExactText(/\d/.test(text) ? text.replace(/( BC)?$/, '+00$1') : text)

interface WithRawJson {
  rawJSON(text: string): object
}

function hasRawJson(json: object): json is WithRawJson {
  return 'rawJSON' in json && typeof json.rawJSON === 'function'
}

/** A number written as it was, where JavaScript would write it otherwise. */
function numberAs(text: string): CellValue {
  const value = Number(text)
  if (String(value) === text) return value
  return hasRawJson(JSON) ? JSON.rawJSON(text) : text
}

function exactJson(text: string): CellValue {
  const revive = (_: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && context?.source !== undefined ? numberAs(context.source) : value
  const parsed: CellValue = JSON.parse(text, revive)
  return parsed
}

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?$/i

function jsonOf(kind: SourceType['kind'], text: string): CellValue {
  if (kind === 'json') return exactJson(text)
  if (kind === 'boolean') return text === 't'
  if ((kind === 'integer' || kind === 'numeric' || kind === 'float') && NUMBER.test(text)) return numberAs(text)
  return text
}

function jsonArray(element: SourceType['kind'], items: ArrayText): CellValue {
  return items.map((item) =>
    item === null ? null : typeof item === 'string' ? jsonOf(element, item) : jsonArray(element, item),
  )
}

export function converterOf(kind: ColumnKind, type: SourceType): Convert {
  if (kind === 'text') return asText
  if (kind === 'json') {
    if (type.kind === 'array') return (text) => jsonArray(type.element, parseArray(text))
    return (text) => jsonOf(type.kind, text)
  }
  if (kind === 'timestamp' && type.kind === 'timestamp') return inUtc
  if (kind === 'boolean' && type.kind === 'boolean') return (text) => text === 't'
  return EXACT[kind]?.includes(type.kind) === true ? exact : asText
}
