/** Which parameter asks for what changed since a time, which field says when, and which that a record is gone. Pure. */
import type { TimeFormat } from '../../define/index.ts'
import { type Operation, type Parameter, plainName } from './operations.ts'
import type { Field } from './records.ts'
import type { Schemas } from './schema.ts'

export interface PlannedChanges {
  readonly parameter: string
  readonly format: TimeFormat
  readonly newerBy: string | undefined
  readonly notes: readonly string[]
}

const MODIFIED = '(last)?(updated|modified|changed|update|modification|change)(date|time|datetime|on|at)?'
const SINCE = new RegExp(`^(filter)?(min|from)?${MODIFIED}(since|after|from|min|gte?|start)?$`)
const NEEDS_WORD = /since|after|from|min|gte?$|start/
const NEWER = new RegExp(`^(date)?${MODIFIED}$`)
const GONE = /^(is|was)?(deleted|removed)(at|on)?$/

function saysModified({ name, description }: Parameter): boolean {
  const plain = plainName(name)
  if (SINCE.test(plain) && NEEDS_WORD.test(plain)) return true
  const isSince = ['since', 'ifmodifiedsince', 'modifiedsince', 'changedsince', 'startdate'].includes(plain)
  return isSince && /updated|modified|changed/i.test(description)
}

function formatOf(schemas: Schemas, { schema, description }: Parameter): { format: TimeFormat; note?: string } {
  const format = schemas.format(schema)
  if (format === 'date') return { format: 'date' }
  if (['integer', 'number'].includes(schemas.type(schema) ?? '')) {
    if (/milli/i.test(description)) return { format: 'ms' }
    return { format: 's', note: 'A whole number: taken for seconds since 1970, which may be milliseconds (`format`).' }
  }
  return format === 'date-time'
    ? { format: 'iso' }
    : { format: 'iso', note: 'Its format is not said: ISO 8601 is sent.' }
}

export function changesOf(
  schemas: Schemas,
  operation: Operation,
  fields: readonly Field[],
): PlannedChanges | undefined {
  const parameter = operation.parameters.find((one) => one.place === 'query' && saysModified(one))
  if (parameter === undefined) return undefined
  const { format, note } = formatOf(schemas, parameter)
  const newerBy = fields.find(({ column, kind }) => kind === 'timestamp' && NEWER.test(plainName(column)))?.column
  return { parameter: parameter.name, format, newerBy, notes: note === undefined ? [] : [note] }
}

/** A field that says the record is gone. */
export function tombstoneOf(fields: readonly Field[]): Field | undefined {
  const kinds = ['boolean', 'timestamp', 'date']
  return fields.find(({ column, kind }) => kinds.includes(kind) && GONE.test(plainName(column)))
}
