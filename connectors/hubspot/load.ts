/**
 * Reads all records of a type by list, page after page, ids ascending; also anew, over rows that are there already.
 * On a crash the load goes on after the last page that was committed.
 */
import { type Message, SourceError, type SyncContext } from '../../src/define/index.ts'
import { type AbsenteeRange, absentees, assertMayRemove } from './absentees.ts'
import { associationMessages } from './associations.ts'
import { Batch } from './batch.ts'
import type { FollowState, LoadState, ObjectState, ObjectStreamOptions } from './object-state.ts'
import { readOptionsOf, recordMessages } from './object-type.ts'
import { pagesAhead } from './pages-ahead.ts'
import { listRecords } from './records.ts'

/**
 * A record, its history and its edges land in one transaction, so that what is computed from them is computed once.
 * Rows there were before (reading everything anew) that the list leaves out are looked for by id.
 */
export async function* loadAll(
  options: ObjectStreamOptions,
  context: SyncContext<ObjectState>,
): AsyncGenerator<Message<ObjectState>, FollowState, void> {
  const { api, object, lookbackMs, mayRemove } = options
  const { table } = object
  const startedMs = context.now()
  const fresh: LoadState = { phase: 'load', startedMs, after: null, lastId: null, done: 0, once: false }
  let at: LoadState = context.state?.phase === 'load' ? context.state : fresh
  const read = readOptionsOf(object)
  const fetch = async (after: string | null) => {
    const { results, paging } = await listRecords(api, context, { ...read, after })
    return { results, next: paging?.next?.after ?? null }
  }
  const checkpoint = (): Message<ObjectState> => ({ op: 'checkpoint', state: at, done: at.done })
  const hadRows = (await context.absent({ table, after: null, upTo: null, present: [], limit: 1 })).length > 0
  let gone = 0
  async function* missing(range: AbsenteeRange): AsyncGenerator<Message<ObjectState>, void, void> {
    if (!hadRows) return
    try {
      for await (const found of absentees(api, context, object, range)) {
        await assertMayRemove(context, object, { before: gone, more: found.gone }, mayRemove)
        gone += found.gone
        yield* found.messages
        yield* await edges()
        yield checkpoint()
        batch.landed()
      }
    } catch (error) {
      // A list in another order looks like this too, and must not keep a load from its end: the sweep will say so.
      if (!(error instanceof SourceError) || error.code !== 'HUBSPOT_LIST_SHORT') throw error
      context.log.warn({ type: object.type }, error.message)
    }
  }
  const batch = new Batch()
  const withoutEdges: string[] = []
  const edges = () => associationMessages(api, context, object, withoutEdges.splice(0))
  for await (const { results, next } of pagesAhead(at.after, fetch)) {
    for (const message of recordMessages(object, results)) {
      yield message
      batch.add(message)
      if (!batch.overfull) continue
      // In the middle of a page: after a crash the page is read again.
      yield* await edges()
      yield checkpoint()
      batch.landed()
    }
    for (const { id } of results) withoutEdges.push(id)
    const present = results.map(({ id }) => BigInt(id))
    const after = at.lastId === null ? null : BigInt(at.lastId)
    const upTo = present.at(-1) ?? after
    if (upTo !== null && present.length > 0) yield* missing({ after, upTo, present })
    if (next === null) yield* missing({ after: upTo, upTo: null, present: [] })
    at = { ...at, after: next, lastId: upTo?.toString() ?? null, done: at.done + results.length }
    if (next === null) break
    if (!batch.full) continue
    yield* await edges()
    yield checkpoint()
    batch.landed()
  }
  yield* await edges()
  const follow: FollowState = { phase: 'follow', fromMs: at.startedMs - lookbackMs, window: null }
  yield { op: 'checkpoint', state: follow, done: at.done, total: at.done }
  context.log.info({ records: at.done }, `All ${object.type} are loaded.`)
  return follow
}
