/**
 * The streams of a connector, out of the operations of an OpenAPI document.
 * Invariant: an operation that lists records is either among the streams or among those left out, with the reason. Pure.
 */
import { changesOf, tombstoneOf } from './changes.ts'
import { lastWord, type Operation, type Parameter, pathParameters } from './operations.ts'
import { pagingOf } from './paging.ts'
import type { PlannedStream, PlannedValue } from './plan.ts'
import { type Field, fieldsOf, keyAmong, recordsOf } from './records.ts'
import { listOf, type Schemas } from './schema.ts'

/** Each is a table, and work for whoever keeps the connector: more are taken by naming them. */
export const MOST_STREAMS = 8

export interface FoundStreams {
  readonly streams: readonly PlannedStream[]
  /** Those of the streams. */
  readonly operations: readonly Operation[]
  readonly leftOut: readonly (readonly [path: string, why: string])[]
}

/** Makes an option of the connector out of a name of the document. */
export type OptionFor = (name: string, comment: string) => PlannedValue

function pathValues(path: string, optionFor: OptionFor): readonly PlannedValue[] {
  return path.split(/(\{[^{}]+\})/).flatMap((part): readonly PlannedValue[] => {
    if (part === '') return []
    const name = /^\{(.+)\}$/.exec(part)?.[1]
    return [name === undefined ? { text: part } : optionFor(name, `\`{${name}}\` in ${path}`)]
  })
}

/** A value for a parameter that has to be sent. */
export function valueFor({ name, place, schema, example, description }: Parameter, optionFor: OptionFor): PlannedValue {
  // The example of a header is a version most often; the one of a query is somebody's id.
  const candidates = [schema.default, listOf(schema.enum)[0], ...(place === 'header' ? [example] : [])]
  const known = candidates.find((value) => ['string', 'number', 'boolean'].includes(typeof value))
  if (known !== undefined) return { text: String(known) }
  return optionFor(name, description.split('\n')[0]?.slice(0, 90) || `\`${name}\`, which every call needs`)
}

/** `/companies` is listed; `/companies/{id}` reads one of them. */
function oneOf(operations: readonly Operation[], listPath: string): Operation | undefined {
  const begin = `${listPath.replace(/\/$/, '')}/`
  return operations.find(({ path }) => path.startsWith(begin) && /^\{[^{}]+\}(\.json)?$/.test(path.slice(begin.length)))
}

function plannedOne(
  schemas: Schemas,
  one: Operation | undefined,
  key: string,
  optionFor: OptionFor,
): PlannedStream['one'] {
  if (one === undefined) return undefined
  if (one.parameters.some(({ place, isRequired }) => isRequired && place === 'query')) return undefined
  const properties = schemas.properties(one.schema)
  const wrapped = [...properties].filter(([, schema]) => schemas.properties(schema).has(key)).map(([name]) => name)
  const item = properties.has(key) ? [] : wrapped.length === 1 ? wrapped : undefined
  if (item === undefined) return undefined
  const at = one.path.lastIndexOf('{')
  return {
    before: pathValues(one.path.slice(0, at), optionFor),
    after: one.path.slice(one.path.lastIndexOf('}') + 1),
    item,
  }
}

function streamOf(
  schemas: Schemas,
  operation: Operation,
  operations: readonly Operation[],
  optionFor: OptionFor,
): PlannedStream | string {
  const records = recordsOf(schemas, operation.schema, operation.path)
  if (records === undefined) return ''
  const fields = fieldsOf(schemas, records.schema)
  const one = oneOf(operations, operation.path)
  const key = keyAmong(fields, operation.path, one === undefined ? undefined : pathParameters(one.path).at(-1))
  if (key === undefined) return 'no field of its records was recognised as their key'
  const { paging, notes } = pagingOf(schemas, operation, records.path)
  const changed = changesOf(schemas, operation, fields)
  const tombstone = tombstoneOf(fields)
  const ordered: readonly Field[] = [key.field, ...fields.filter(({ column }) => column !== key.field.column)]
  const taken = new Set([
    paging?.size?.parameter,
    changed?.parameter,
    ...(paging !== null && 'parameter' in paging ? [paging.parameter] : []),
  ])
  const required = operation.parameters.filter(
    ({ name, place, isRequired }) => place === 'query' && isRequired && !taken.has(name),
  )
  const query = required.map((parameter) => [parameter.name, valueFor(parameter, optionFor)] as const)
  const sent = query.map(
    ([name, value]) =>
      `\`${name}\` has to be sent: ${'text' in value ? `\`${value.text}\` is` : `the option \`${value.option}\` is`}.`,
  )
  return {
    table: lastWord(operation.path),
    path: pathValues(operation.path, optionFor),
    documented: operation.path,
    query,
    items: records.path,
    fields: ordered,
    key: key.field.column,
    paging,
    changed,
    tombstone,
    one: plannedOne(schemas, one, key.field.column, optionFor),
    notes: [`Its key is \`${key.field.column}\`: ${key.why}.`, ...notes, ...sent, ...changesNotes(changed, tombstone)],
  }
}

function changesNotes(changed: PlannedStream['changed'], tombstone: Field | undefined): readonly string[] {
  const asked =
    changed === undefined
      ? [
          'No parameter was recognised that asks for what changed since a time: every pass reads the whole list, once an hour.',
        ]
      : [
          `Changes are asked for by \`${changed.parameter}\`, up to a minute back (\`lagMs\`); that the source finds every change by it within that minute is not known.`,
          ...changed.notes,
        ]
  const gone = ['Records that are no longer listed are deleted whenever the whole list was read (`sweep`).']
  const mark = tombstone === undefined ? [] : [`A record with \`${tombstone.path.join('.')}\` counts as gone.`]
  return [...asked, ...gone, ...mark]
}

/** As the reason why a list was left out. */
export const NEEDS_VALUE = 'it needs a value'

const needsValue = ({ path, query }: PlannedStream): boolean =>
  [...path, ...query.map(([, value]) => value)].some((value) => 'option' in value)

/** Resources with more to go by first, then those nearer to the root; the document's order among equals. */
function rank({ one, changed, paging, documented }: PlannedStream): number {
  const depth = documented.split('/').length
  return (one === undefined ? 0 : 4) + (changed === undefined ? 0 : 2) + (paging === null ? 0 : 1) - depth / 100
}

/** @param wanted paths of the document; empty: the likeliest lists */
export function findStreams(
  schemas: Schemas,
  operations: readonly Operation[],
  wanted: readonly string[],
  optionFor: OptionFor,
): FoundStreams {
  const found: { readonly stream: PlannedStream; readonly operation: Operation }[] = []
  const leftOut: (readonly [string, string])[] = []
  for (const operation of operations) {
    const isWanted = wanted.includes(operation.path)
    if (wanted.length > 0 && !isWanted) continue
    // Tried with options that are thrown away: only a stream that is taken may ask for one.
    const tried = streamOf(schemas, operation, operations, (name) => ({ option: name }))
    if (tried === '' && !isWanted) continue
    if (tried === '') leftOut.push([operation.path, 'its answer is no list of records'])
    else if (typeof tried === 'string') leftOut.push([operation.path, tried])
    else if (operation.isDeprecated && !isWanted) leftOut.push([operation.path, 'the document calls it deprecated'])
    else if (needsValue(tried) && !isWanted) leftOut.push([operation.path, NEEDS_VALUE])
    else found.push({ stream: tried, operation })
  }
  const ranked = wanted.length > 0 ? found : [...found].sort((left, right) => rank(right.stream) - rank(left.stream))
  const taken = wanted.length > 0 ? ranked : ranked.slice(0, MOST_STREAMS)
  for (const { operation } of ranked.slice(taken.length).reverse())
    leftOut.unshift([operation.path, `${MOST_STREAMS} lists are taken unless they are named`])
  const streams = taken.flatMap(({ operation }) => {
    const stream = streamOf(schemas, operation, operations, optionFor)
    return typeof stream === 'string' ? [] : [stream]
  })
  return { streams, operations: taken.map(({ operation }) => operation), leftOut }
}
