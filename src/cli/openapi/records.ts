/**
 * What a list answers: where its records are, which of their fields become columns, which one is the key.
 * Invariant: a field that becomes no column is kept in `raw`, so a wrong guess here loses nothing. Pure.
 */
import type { ColumnKind } from '../../define/index.ts'
import { lastWord, plainName } from './operations.ts'
import type { Node, Schemas } from './schema.ts'

export interface Records {
  /** From the body to the array; empty: the body is the array. */
  readonly path: readonly string[]
  readonly schema: Node
}

export interface Field {
  readonly column: string
  /** From the record to the value. */
  readonly path: readonly string[]
  readonly kind: ColumnKind
  readonly format: string | undefined
  readonly values: readonly unknown[]
}

/** Where APIs put their records, the likeliest first. */
const CONTAINERS = [
  'data',
  'items',
  'results',
  'records',
  'value',
  'values',
  'entries',
  'list',
  'rows',
  'content',
  'objects',
  'elements',
  'hits',
  'result',
  'documents',
  'nodes',
]
const WRAPPERS = ['data', 'embedded', 'result', 'response', 'payload', 'results', 'collection']
/** JSON:API and its like put the fields of a record below one of these. */
const FIELD_HOLDERS = ['attributes', 'fields', 'properties']
const MOST_COLUMNS = 80
/** What PostgreSQL cuts names at, in bytes. */
const LONGEST_NAME = 63

const isOf = (schemas: Schemas, schema: Node, type: string) => schemas.type(schema) === type

function arraysIn(schemas: Schemas, schema: Node, path: readonly string[]): readonly Records[] {
  return [...schemas.properties(schema)].flatMap(([name, property]) => {
    const items = isOf(schemas, property, 'array') ? schemas.items(property) : undefined
    return items === undefined || schemas.properties(items).size === 0 ? [] : [{ path: [...path, name], schema: items }]
  })
}

/** How sure it is that an array holds the list itself and not a part of one record; the higher the surer. */
function likelihood(records: Records, word: string, isRecordItself: boolean): number {
  const name = plainName(records.path.at(-1) ?? '')
  if (name === plainName(word)) return 100
  const rank = CONTAINERS.indexOf(name)
  if (rank !== -1) return 90 - rank
  return isRecordItself ? 0 : 10
}

/** @returns undefined where the body is no list of records */
export function recordsOf(schemas: Schemas, schema: Node, path: string): Records | undefined {
  if (isOf(schemas, schema, 'array')) {
    const items = schemas.items(schema)
    return items === undefined || schemas.properties(items).size === 0 ? undefined : { path: [], schema: items }
  }
  const properties = schemas.properties(schema)
  const wrapped = [...properties].filter(([name]) => WRAPPERS.includes(plainName(name)))
  const found = [
    ...arraysIn(schemas, schema, []),
    ...wrapped.flatMap(([name, inner]) => arraysIn(schemas, inner, [name])),
  ]
  const isRecordItself = ['id', 'uuid', 'key'].some((name) => properties.has(name))
  const ranked = found
    .map((records) => ({ records, score: likelihood(records, lastWord(path), isRecordItself) }))
    .sort((left, right) => right.score - left.score)
  const [best, second] = ranked
  // Two arrays with names that say nothing: it is anybody's guess which one is the list.
  if (best === undefined || best.score === 0 || (best.score === 10 && second?.score === 10)) return undefined
  return best.records
}

const IDENTIFIER = /(^|_)id$|Id$|^uuid$|^guid$/

function kindOf(schemas: Schemas, name: string, schema: Node): ColumnKind | undefined {
  const format = schemas.format(schema)
  switch (schemas.type(schema)) {
    case 'string':
      if (format === 'date-time') return 'timestamp'
      if (format === 'date') return 'date'
      if (format === 'int64') return 'bigint'
      return format === 'decimal' ? 'decimal' : 'text'
    case 'integer':
      return format === 'int64' || IDENTIFIER.test(name) ? 'bigint' : 'number'
    case 'number':
      return 'number'
    case 'boolean':
      return 'boolean'
    default:
      return undefined
  }
}

function fieldOf(schemas: Schemas, path: readonly string[], name: string, schema: Node): readonly Field[] {
  const kind = kindOf(schemas, name, schema)
  // `__proto__` in an object literal is no field, a dot divides a path, NUL and what is longer is no name in PostgreSQL.
  const isName = name !== '' && name !== '__proto__' && name !== 'raw' && !/[.\p{Cc}]/u.test(name)
  if (kind === undefined || !isName || Buffer.byteLength(name) > LONGEST_NAME) return []
  return [{ column: name, path: [...path, name], kind, format: schemas.format(schema), values: schemas.enumOf(schema) }]
}

/** Fields with one plain value, those one level below `attributes` and the like included. */
export function fieldsOf(schemas: Schemas, record: Node): readonly Field[] {
  const found = new Map<string, Field>()
  for (const [name, schema] of schemas.properties(record)) {
    const isHolder = FIELD_HOLDERS.includes(plainName(name)) && isOf(schemas, schema, 'object')
    const inner = isHolder ? [...schemas.properties(schema)] : []
    const fields = isHolder
      ? inner.flatMap(([each, property]) => fieldOf(schemas, [name], each, property))
      : fieldOf(schemas, [], name, schema)
    for (const field of fields)
      if (!found.has(field.column) && found.size < MOST_COLUMNS) found.set(field.column, field)
  }
  return [...found.values()]
}

export interface Key {
  readonly field: Field
  readonly why: string
}

function singular(word: string): string {
  if (/ies$/.test(word)) return word.replace(/ies$/, 'y')
  return /(ss|us)$/.test(word) ? word : word.replace(/(?<=ch|sh|x|ss)es$|s$/, '')
}

/** @param parameter the name the document gives the key in the path of one record, such as `companyId` */
export function keyAmong(fields: readonly Field[], path: string, parameter: string | undefined): Key | undefined {
  const usable = fields.filter(
    ({ kind, path: at }) => at.length === 1 && (kind === 'text' || kind === 'bigint' || kind === 'number'),
  )
  const named = (name: string) => usable.find(({ column }) => plainName(column) === plainName(name))
  const as = (field: Field | undefined, why: string): Key | undefined => {
    if (field === undefined) return undefined
    return { field: field.kind === 'number' ? { ...field, kind: 'bigint' } : field, why }
  }
  const one = singular(lastWord(path))
  const own = as(named('id'), 'it is named so')
  const addressed =
    parameter === undefined ? undefined : as(named(parameter), `one record is read by it (\`{${parameter}}\`)`)
  if (own !== undefined) return own
  if (addressed !== undefined) return addressed
  for (const name of [
    '_id',
    'uuid',
    'guid',
    'gid',
    `${one}Id`,
    `${one}Uuid`,
    `${one}Key`,
    `${one}Number`,
    'key',
    'code',
    'slug',
    'number',
  ]) {
    const found = as(named(name), 'it is named so')
    if (found !== undefined) return found
  }
  return undefined
}
