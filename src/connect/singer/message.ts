/**
 * One line of a tap's output: a message of the Singer protocol, noise, or a message that is broken.
 *
 * Invariants: numbers keep every digit; a line that was meant as a message and cannot be read is never taken for noise,
 * because a record would be lost in it; the value of a STATE is kept as the text that came. Pure.
 */
import { parseJson } from '../../define/exact-json.ts'

export interface RecordMessage {
  readonly type: 'RECORD'
  readonly stream: string
  readonly record: Readonly<Record<string, unknown>>
  readonly version: string | null
  readonly timeExtracted: string | null
}

export type TapMessage =
  | {
      readonly type: 'SCHEMA'
      readonly stream: string
      readonly properties: Readonly<Record<string, unknown>>
      readonly key: readonly string[]
    }
  | RecordMessage
  /** `value`: JSON, to be given back as it came. null: there is nothing in it. */
  | { readonly type: 'STATE'; readonly value: string | null }
  | { readonly type: 'ACTIVATE_VERSION'; readonly stream: string; readonly version: string }
  | { readonly type: 'BATCH'; readonly stream: string }

export type TapLine =
  | { readonly kind: 'message'; readonly message: TapMessage; readonly noise?: string }
  | { readonly kind: 'noise'; readonly text: string }
  | { readonly kind: 'broken'; readonly text: string }

declare global {
  interface JSON {
    /** What `JSON.stringify` writes as it is. */
    rawJSON(text: string): object
  }
}

type Fields = Readonly<Record<string, unknown>>

/** Wherever it stands: a print without an end of line may precede it. */
const MEANT = /"type"\s*:\s*"(SCHEMA|RECORD|STATE|ACTIVATE_VERSION|BATCH)"/i
/** Strings, so that what stands in them is left alone, and what Python writes for numbers that are none. */
const NOT_NUMBERS = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parsed(text: string): Fields | undefined {
  for (const candidate of [text, text.replace(NOT_NUMBERS, (part) => (part.startsWith('"') ? part : `"${part}"`))]) {
    try {
      const value = parseJson(candidate)
      return isFields(value) ? value : undefined
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
    if (!/NaN|Infinity/.test(text)) return undefined
  }
  return undefined
}

function exactNumber(this: unknown, _key: string, value: unknown, context?: { readonly source?: string }): unknown {
  return typeof value === 'number' && context?.source !== undefined ? JSON.rawJSON(context.source) : value
}

/** A value that is written as it was read, digit for digit. @throws SyntaxError */
export function parseExactly(text: string): unknown {
  return JSON.parse(text, exactNumber)
}

function stateText(line: string): string | null {
  const message = parseExactly(line)
  const value = isFields(message) ? message.value : undefined
  if (!isFields(value) || Object.keys(value).length === 0) return null
  return JSON.stringify(value)
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined

/** undefined: not a message, or one that lacks what it must have. */
function messageOf(fields: Fields, line: string): TapMessage | undefined {
  const type = typeof fields.type === 'string' ? fields.type.toUpperCase() : ''
  const { stream, version } = fields
  if (type === 'STATE') return { type, value: stateText(line) }
  if (typeof stream !== 'string') return undefined
  if (type === 'RECORD') {
    const { record } = fields
    if (!isFields(record)) return undefined
    const time = fields.time_extracted
    const timeExtracted = typeof time === 'string' ? time : null
    return { type, stream, record, version: textOf(version) ?? null, timeExtracted }
  }
  if (type === 'SCHEMA') {
    const { schema, key_properties: key } = fields
    const properties = isFields(schema) && isFields(schema.properties) ? schema.properties : {}
    return {
      type,
      stream,
      properties,
      key: Array.isArray(key) ? key.map(String) : typeof key === 'string' ? [key] : [],
    }
  }
  if (type === 'ACTIVATE_VERSION') {
    const text = textOf(version)
    return text === undefined ? undefined : { type, stream, version: text }
  }
  return type === 'BATCH' ? { type, stream } : undefined
}

export function readLine(text: string): TapLine {
  if (!MEANT.test(text)) return { kind: 'noise', text }
  const starts = [text.indexOf('{'), text.search(/\{\s*"type"\s*:/)].filter((start) => start !== -1)
  for (const start of new Set(starts)) {
    const json = text.slice(start)
    const fields = parsed(json)
    if (fields === undefined) continue
    const message = messageOf(fields, json)
    const noise = text.slice(0, start).trim()
    if (message !== undefined) return { kind: 'message', message, ...(noise === '' ? {} : { noise }) }
    // Well-formed, but its own type is none of the protocol's: a record of another kind, printed.
    if (!MEANT.test(`"type":${JSON.stringify(fields.type)}`)) return { kind: 'noise', text }
  }
  return { kind: 'broken', text }
}
