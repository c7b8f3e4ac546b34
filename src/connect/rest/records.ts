/**
 * Reads records by id, one by one or in batches: what a feed, a list of ids, a webhook or a replay asks for.
 * Invariant: every id comes to something: the record, a delete when it is gone, or a reject when the source refuses to
 * answer for it alone; a refused batch is halved until the refused id stands alone.
 */
import type { HttpAnswer, Message, ReadContext, RestMany, RestOne, RestSpec } from '../../define/index.ts'
import { isItem, itemsOf, recordMessage, rejected, select, selectText } from './select.ts'

const GONE = [404, 410]
const REFUSED = [400, 422]
/** Calls prepared at once; the budget decides how many run. */
const AT_ONCE = 8
/** Before the key, the name under which the ETag of one record's answer is remembered. */
export const ETAG = 'etag:'

type Messages = readonly Message<never>[]

export const budgetOf = ({ budget }: RestSpec) => (budget === undefined ? {} : { budget })

function keyOfId(spec: RestSpec, id: string) {
  return { [spec.table.key[0] ?? '']: id }
}

const goneMessage = (spec: RestSpec, id: string): Message<never> => ({
  op: 'delete',
  table: spec.table,
  key: keyOfId(spec, id),
  reason: 'gone',
})

function refusedMessage(spec: RestSpec, id: string, answer: HttpAnswer): Message<never> {
  const reason = `The source refused to answer for this record (${answer.status}).`
  return rejected(spec.table, id, { ...keyOfId(spec, id), status: answer.status }, reason)
}

async function readOne(
  spec: RestSpec,
  one: RestOne,
  context: ReadContext,
  id: string,
  etag: string | undefined,
): Promise<Messages> {
  const gone = [...GONE, ...(one.gone ?? [])]
  const answer = await context.http({
    path: one.path(id),
    query: one.query?.(id) ?? {},
    accept: [...gone, ...REFUSED],
    ifNoneMatch: etag,
    ...budgetOf(spec),
  })
  if (answer.status === 304) return []
  const forget: Messages = etag === undefined ? [] : [{ op: 'remember', name: ETAG + id, value: null }]
  if (gone.includes(answer.status)) return [goneMessage(spec, id), ...forget]
  if (REFUSED.includes(answer.status)) return [refusedMessage(spec, id, answer), ...forget]
  const record = recordMessage(spec, select(answer.body, one.item ?? ''))
  if (spec.conditional !== true || answer.etag === undefined) return [record]
  return [record, { op: 'remember', name: ETAG + id, value: answer.etag }]
}

async function readMany(
  spec: RestSpec,
  many: RestMany,
  context: ReadContext,
  ids: readonly string[],
): Promise<Messages> {
  if (ids.length === 0) return []
  const answer = await context.http({ ...many.request(ids), accept: REFUSED, ...budgetOf(spec) })
  if (REFUSED.includes(answer.status)) {
    const [only] = ids
    if (ids.length === 1 && only !== undefined) return [refusedMessage(spec, only, answer)]
    const half = Math.ceil(ids.length / 2)
    const left = await readMany(spec, many, context, ids.slice(0, half))
    return [...left, ...(await readMany(spec, many, context, ids.slice(half)))]
  }
  const items = itemsOf(answer, many.items)
  const column = spec.table.key[0] ?? ''
  const answered = new Set(
    items.map((item) => (isItem(item) ? selectText(item, spec.columns?.[column] ?? column) : '')),
  )
  const missing = ids.filter((id) => !answered.has(id)).map((id) => goneMessage(spec, id))
  return [...items.map((item) => recordMessage(spec, item)), ...missing]
}

/** @param again also records that have not changed since they were last read are read */
export async function* readRecords(
  spec: RestSpec,
  context: ReadContext,
  ids: readonly string[],
  again: boolean,
): AsyncGenerator<Message<never>, void, void> {
  const { one, many } = spec
  if (many !== undefined) {
    for (let at = 0; at < ids.length; at += many.batch) {
      yield* await readMany(spec, many, context, ids.slice(at, at + many.batch))
    }
    return
  }
  if (one === undefined) return
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const part = ids.slice(at, at + AT_ONCE)
    const isConditional = spec.conditional === true && !again
    const etags = isConditional ? await context.recall(part.map((id) => ETAG + id)) : undefined
    const found = await Promise.all(part.map((id) => readOne(spec, one, context, id, etags?.get(ETAG + id))))
    yield* found.flat()
  }
}
