/** Filters of a search, compiled: values are compared by the type of their property, text without regard to case. */
import { invalid } from './failure.ts'
import type { ObjectType } from './object-types.ts'
import type { Portal } from './portal.ts'
import type { CrmRecord, IndexVersion } from './record.ts'
import type { PropertyType } from './schema.ts'

const OPERATORS = [
  'EQ',
  'NEQ',
  'LT',
  'LTE',
  'GT',
  'GTE',
  'BETWEEN',
  'IN',
  'NOT_IN',
  'HAS_PROPERTY',
  'NOT_HAS_PROPERTY',
  'CONTAINS_TOKEN',
  'NOT_CONTAINS_TOKEN',
] as const
export type Operator = (typeof OPERATORS)[number]

export interface Filter {
  readonly property: string
  readonly operator: Operator
  readonly value: string
  readonly highValue: string
  readonly values: readonly string[]
}

export type Matcher = (record: CrmRecord, indexed: IndexVersion) => boolean

export function operatorOf(value: unknown): Operator {
  const known = OPERATORS.find((operator) => operator === value)
  if (known === undefined) throw invalid(`Invalid operator: ${String(value)}`)
  return known
}

type Comparable = number | string

/** undefined: not set. Times are milliseconds, numbers are numbers, the rest is text. */
function readerOf(portal: Portal, type: ObjectType, name: string) {
  if (name === 'hs_object_id') return { kind: 'number', read: (record: CrmRecord): Comparable => record.id } as const
  if (name === portal.types.get(type).lastModified) {
    return { kind: 'datetime', read: (_: CrmRecord, indexed: IndexVersion): Comparable => indexed.modifiedMs } as const
  }
  const kind: PropertyType = portal.definitions(type).get(name)?.type ?? 'string'
  const read = (record: CrmRecord, { properties }: IndexVersion): Comparable | undefined => {
    const value = properties[name]
    if (value === undefined) return name === record.spec.created ? record.createdMs : undefined
    return comparable(kind, value)
  }
  return { kind, read }
}

function comparable(kind: PropertyType, value: string): Comparable {
  if (kind === 'number') return Number(value)
  if (kind === 'datetime' || kind === 'date') return /^-?\d+$/.test(value) ? Number(value) : Date.parse(value)
  return kind === 'enumeration' ? value : value.toLowerCase()
}

function tokens(text: Comparable): readonly string[] {
  return String(text)
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
}

function containsToken(text: Comparable, wanted: string): boolean {
  const pattern = wanted
    .toLowerCase()
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
  const whole = new RegExp(`^${pattern}$`, 'u')
  return whole.test(String(text)) || tokens(text).some((token) => whole.test(token))
}

export function matcherOf(portal: Portal, type: ObjectType, filter: Filter): Matcher {
  const { kind, read } = readerOf(portal, type, filter.property)
  const value = comparable(kind, filter.value)
  const high = comparable(kind, filter.highValue)
  // Text must be given in lower case here; what is not matches nothing.
  const values = new Set(filter.values.map((item) => (kind === 'number' ? Number(item) : item)))
  const test: Readonly<Record<Operator, (found: Comparable) => boolean>> = {
    EQ: (found) => found === value,
    NEQ: (found) => found !== value,
    LT: (found) => found < value,
    LTE: (found) => found <= value,
    GT: (found) => found > value,
    GTE: (found) => found >= value,
    BETWEEN: (found) => found >= value && found <= high,
    IN: (found) => values.has(found),
    NOT_IN: (found) => !values.has(found),
    HAS_PROPERTY: () => true,
    NOT_HAS_PROPERTY: () => false,
    CONTAINS_TOKEN: (found) => containsToken(found, filter.value),
    NOT_CONTAINS_TOKEN: (found) => !containsToken(found, filter.value),
  }
  const holds = test[filter.operator]
  const unset = ['NEQ', 'NOT_HAS_PROPERTY', 'NOT_CONTAINS_TOKEN'].includes(filter.operator)
  return (record, indexed) => {
    const found = read(record, indexed)
    return found === undefined ? unset : holds(found)
  }
}
