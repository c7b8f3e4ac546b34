/**
 * From what a REST source answers to rows and messages, by the stream's declaration.
 * Invariant: no field is lost: what no column takes goes to `raw`. Pure.
 */
import {
  type CellValue,
  type HttpAnswer,
  type Item,
  type Message,
  type RestSpec,
  type Selector,
  SourceError,
  type SourceRow,
  type Table,
} from '../../define/index.ts'
import { RAW } from '../fit.ts'

export function isItem(value: unknown): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** undefined where the path leads nowhere. */
export function select<T>(value: T, selector: Selector<T>): unknown {
  if (typeof selector === 'function') return selector(value)
  if (selector === '') return value
  let found: unknown = value
  for (const name of selector.split('.')) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined
    found = Reflect.get(found, name)
  }
  return found
}

/** An id or a token as text; undefined when there is none. */
export function selectText<T>(value: T, selector: Selector<T>): string | undefined {
  const found = select(value, selector)
  if (typeof found === 'string') return found === '' ? undefined : found
  return typeof found === 'number' || typeof found === 'bigint' ? String(found) : undefined
}

export function selectFlag(item: Item, selector: Selector<Item> | undefined): boolean {
  if (selector === undefined) return false
  const found = select(item, selector)
  return typeof found === 'string' ? found !== '' : Boolean(found)
}

/**
 * An answer without a body (204) holds none.
 * @throws SourceError transient, when there is no list: an error dressed as an answer must not pass for the end of a list
 */
export function itemsOf(answer: HttpAnswer | undefined, selector: Selector = ''): readonly unknown[] {
  if (answer === undefined || answer.text === '') return []
  const found = select(answer.body, selector)
  if (Array.isArray(found)) return found
  throw new SourceError({
    kind: 'transient',
    code: 'CONNECT_NO_LIST',
    message: `The answer holds no list${typeof selector === 'string' && selector !== '' ? ` at '${selector}'` : ''}.`,
    mend: 'Say where the records are (items). If the source leaves an empty list out: items: (body) => … ?? [].',
  })
}

function isCell(value: unknown): value is CellValue {
  return value !== undefined && typeof value !== 'function' && typeof value !== 'symbol'
}

const cellOf = (value: unknown): CellValue => (isCell(value) ? value : null)

export function keyOf(spec: RestSpec, item: Item): SourceRow {
  return Object.fromEntries(
    spec.table.key.map((column) => [column, cellOf(select(item, spec.columns?.[column] ?? column))]),
  )
}

/** The whole record: a field the item does not have is null. */
export function rowOf(spec: Pick<RestSpec, 'table' | 'columns'>, item: Item): SourceRow {
  const { table, columns = {} } = spec
  const row: Record<string, CellValue> = {}
  const taken = new Set<string>()
  for (const column of Object.keys(table.columns)) {
    if (column === RAW && columns[RAW] === undefined) continue
    const selector = columns[column] ?? column
    row[column] = cellOf(select(item, selector))
    if (typeof selector === 'string') taken.add(selector)
  }
  if (table.columns[RAW]?.kind !== 'json' || columns[RAW] !== undefined) return row
  const left = Object.entries(item).filter(([name]) => !taken.has(name))
  row[RAW] = left.length === 0 ? null : Object.fromEntries(left)
  return row
}

export function recordMessage(spec: RestSpec, item: unknown): Message<never> {
  const { table } = spec
  if (!isItem(item)) return rejected(table, null, item, 'The source answered something that is not a record.')
  const into = spec.mergedInto === undefined ? undefined : selectText(item, spec.mergedInto)
  const key = keyOf(spec, item)
  if (into !== undefined) return { op: 'merge', table, from: key, into: { [table.key[0] ?? '']: into } }
  if (selectFlag(item, spec.deleted)) return { op: 'delete', table, key, reason: 'archived' }
  const newerBy = spec.list?.changed?.newerBy
  return { op: 'upsert', table, row: rowOf(spec, item), ...(newerBy === undefined ? {} : { newerBy }) }
}

export function rejected(table: Table, key: string | null, raw: unknown, reason: string): Message<never> {
  return { op: 'reject', table, key, raw, code: 'CONNECT_RECORD_SHAPE', reason }
}
