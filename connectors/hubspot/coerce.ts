/**
 * HubSpot's property values, all strings or null, as cells of the declared columns.
 *
 * Invariant: never throws and never loses: a value that does not fit its column becomes null there and stands in `raw`
 * as it was; an empty string is null, because that is how HubSpot clears a property. Pure.
 */
import {
  type CellValue,
  type ColumnKind,
  fitText,
  type SourceRow,
  storableText,
  type Table,
} from '../../src/define/index.ts'

/** @returns the cell, or undefined when `value` does not fit the kind */
export function coerceValue(kind: ColumnKind, value: string | null | undefined): CellValue | undefined {
  if (value === null || value === undefined || value === '') return null
  return fitText(kind, value)
}

/** Columns that are not properties. */
const OWN_COLUMNS: ReadonlySet<string> = new Set(['id', 'raw'])

const known = new WeakMap<Table, readonly string[]>()

/** The HubSpot properties a table asks for: all its columns but `id` and `raw`. Found once per table. */
export function propertiesOf(table: Table): readonly string[] {
  const properties = known.get(table) ?? Object.keys(table.columns).filter((column) => !OWN_COLUMNS.has(column))
  known.set(table, properties)
  return properties
}

/** NUL is written out in `raw`, so that nothing is lost. */
const NUL = '\\u0000'

/** One record as a row of `table`. Every property column is present, so that a property that was unset is cleared. */
export function coerceRecord(
  table: Table,
  id: string,
  properties: Readonly<Record<string, string | null | undefined>>,
): SourceRow {
  const row: Record<string, CellValue> = { id }
  const raw: Record<string, string> = {}
  for (const property of propertiesOf(table)) {
    const kind = table.columns[property]?.kind ?? 'text'
    const value = properties[property]
    const coerced = coerceValue(kind, value)
    row[property] = coerced ?? null
    const changed = coerced === undefined || (kind === 'text' && coerced !== null && coerced !== value)
    if (changed && typeof value === 'string') raw[property] = storableText(value, NUL)
  }
  if (Object.hasOwn(table.columns, 'raw')) row.raw = Object.keys(raw).length === 0 ? null : raw
  return row
}
