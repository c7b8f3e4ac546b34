/**
 * A lookup: one call for each value of a column of another source table, again when the answer has grown old.
 * Invariant: an answer and the fact that it was asked for land together, so a crash repeats at most one batch.
 */
import type { Message, ReadContext, RestLookup, RestSpec } from '../../define/index.ts'
import { budgetOf } from './records.ts'
import { isItem, rejected, rowOf, select } from './select.ts'

const BATCH = 50
/** Not there, no longer there, or not to be shown for legal reasons. */
const ABSENT = [404, 410, 451]
const REFUSED = [400, 422]

interface Answered {
  readonly messages: readonly Message<never>[]
  readonly etag: string
}

/** null: no record for this key; undefined (a path that leads nowhere) is none at all, and refused. */
const recordIn = ({ item = '' }: RestLookup, body: unknown, key: string): unknown =>
  typeof item === 'string' ? select(body, item) : item(body, key)

async function ask(
  spec: RestSpec,
  lookup: RestLookup,
  context: ReadContext,
  key: string,
  etag: string,
): Promise<Answered> {
  const { table } = spec
  const into = table.key[0] ?? ''
  const answer = await context.http({
    path: lookup.path(key),
    query: lookup.query?.(key) ?? {},
    accept: [...ABSENT, ...REFUSED],
    ifNoneMatch: spec.conditional === true && etag !== '' ? etag : undefined,
    ...budgetOf(spec),
  })
  if (answer.status === 304) return { messages: [], etag }
  const refused = (reason: string): Answered => ({
    messages: [rejected(table, key, { [into]: key, status: answer.status }, reason)],
    etag: '',
  })
  if (REFUSED.includes(answer.status)) {
    return refused(`The source refused to answer for this value (${answer.status}).`)
  }
  const isAbsent = ABSENT.includes(answer.status)
  const found = isAbsent ? null : recordIn(lookup, answer.body, key)
  const item = found === null ? (lookup.absent?.(key) ?? null) : found
  const version = isAbsent ? '' : (answer.etag ?? '')
  if (item === null) return { messages: [{ op: 'delete', table, key: { [into]: key }, reason: 'gone' }], etag: version }
  if (!isItem(item)) return refused(`The source answered something that is not a record (${answer.status}).`)
  return { messages: [{ op: 'upsert', table, row: { ...rowOf(spec, item), [into]: key } }], etag: version }
}

/** Each key is asked for once, whatever number of values lead to it. */
export async function* lookUp(
  spec: RestSpec,
  lookup: RestLookup,
  context: ReadContext,
  values: readonly string[],
  again: boolean,
): AsyncGenerator<Message<never>, void, void> {
  const etags = again ? new Map<string, string>() : await context.recall(values)
  const valuesOf = new Map<string, string[]>()
  for (const value of values) {
    const key = lookup.key === undefined ? value : lookup.key(value)
    if (key === null) yield { op: 'remember', name: value, value: '', dueMs: context.now() + lookup.freshMs }
    else valuesOf.set(key, [...(valuesOf.get(key) ?? []), value])
  }
  const found = await Promise.all(
    [...valuesOf].map(async ([key, from]) => {
      const { messages, etag } = await ask(spec, lookup, context, key, etags.get(from[0] ?? '') ?? '')
      const dueMs = context.now() + lookup.freshMs
      return [...messages, ...from.map((name): Message<never> => ({ op: 'remember', name, value: etag, dueMs }))]
    }),
  )
  yield* found.flat()
}

/** Everything that is due, batch by batch. */
export async function* lookUpDue(
  spec: RestSpec,
  lookup: RestLookup,
  context: ReadContext,
  again: boolean,
): AsyncGenerator<Message<never> | { readonly batch: number }, void, void> {
  const done = new Set<string>()
  for (;;) {
    const due = await context.due({ table: lookup.table, column: lookup.column, limit: BATCH })
    // What was asked in this pass is not asked again in it, however short its answer is good for.
    const values = due.filter((value) => !done.has(value))
    if (values.length === 0) return
    for (const value of values) done.add(value)
    yield* lookUp(spec, lookup, context, values, again)
    yield { batch: values.length }
  }
}
