/**
 * Companies, contacts or deals: loaded once by list, then followed by their last-modified time.
 *
 * The search index lags, ties are normal (a bulk edit stamps thousands of records with one millisecond) and a search
 * ends at 10,000 results. So a window (from, to] of modification times is read by ascending id, never by offset, and
 * `to` stays `lagMs` behind the clock: that delayed lane is the truth. A fast lane reads the newest changes up to now so
 * that they show at once; what it misses, the delayed lane brings.
 * On a crash the window is resumed after the last id that was committed.
 */
import { z } from 'zod'
import {
  defineStream,
  type Message,
  type SourceContext,
  type Stream,
  type SyncContext,
} from '../../src/define/index.ts'
import type { HubspotApi } from './api.ts'
import { associationMessages } from './associations.ts'
import { Batch } from './batch.ts'
import { fetchRecords, type ObjectType, readOptionsOf, recordMessages } from './object-type.ts'
import { pagesAhead } from './pages-ahead.ts'
import { type ChangedId, listRecords, SEARCH_LIMIT, searchChanged } from './records.ts'

const objectState = z.discriminatedUnion('phase', [
  z.object({
    phase: z.literal('load'),
    /** When the load began: following starts there. */
    startedMs: z.number(),
    after: z.string().nullable(),
    done: z.number(),
  }),
  z.object({
    phase: z.literal('follow'),
    /** Everything modified up to here has been read. */
    fromMs: z.number(),
    /** The window being read, if a page of it has been committed. */
    window: z.object({ toMs: z.number(), lastId: z.string() }).nullable(),
  }),
])
export type ObjectState = z.infer<typeof objectState>
type FollowState = Extract<ObjectState, { phase: 'follow' }>

export interface ObjectStreamOptions {
  readonly api: HubspotApi
  readonly object: ObjectType
  /** How far behind the clock the search index is trusted. */
  readonly lagMs: number
  /** How far before the start of the load following begins. */
  readonly lookbackMs: number
  readonly everyMs: number
  readonly ready: (context: SourceContext) => Promise<void>
}

/** The fast lane is bounded: a bulk edit is the delayed lane's work. */
const FAST_PAGES = 5
/** HubSpot's answer to one hydrate call must stay of a size that fits one transaction. */
const HYDRATE = 100

type Messages = AsyncGenerator<Message<ObjectState>, void, void>

/** A record, its history and its edges land in one transaction, so that what is computed from them is computed once. */
async function* load(
  options: ObjectStreamOptions,
  context: SyncContext<ObjectState>,
): AsyncGenerator<Message<ObjectState>, FollowState, void> {
  const { api, object, lookbackMs } = options
  const { state } = context
  const startedMs = state?.phase === 'load' ? state.startedMs : context.now()
  let done = state?.phase === 'load' ? state.done : 0
  const read = readOptionsOf(object)
  const fetch = async (after: string | null) => {
    const { results, paging } = await listRecords(api, context, { ...read, after })
    return { results, next: paging?.next?.after ?? null }
  }
  let after = state?.phase === 'load' ? state.after : null
  const batch = new Batch()
  const withoutEdges: string[] = []
  const edges = () => associationMessages(api, context, object, withoutEdges.splice(0))
  for await (const { results, next } of pagesAhead(after, fetch)) {
    for (const message of recordMessages(object, results)) {
      yield message
      batch.add(message)
      if (!batch.overfull) continue
      // In the middle of a page: after a crash the page is read again.
      yield* await edges()
      yield { op: 'checkpoint', state: { phase: 'load', startedMs, after, done }, done }
      batch.landed()
    }
    done += results.length
    for (const { id } of results) withoutEdges.push(id)
    if (next === null) break
    after = next
    if (!batch.full) continue
    yield* await edges()
    yield { op: 'checkpoint', state: { phase: 'load', startedMs, after, done }, done }
    batch.landed()
  }
  yield* await edges()
  const follow: FollowState = { phase: 'follow', fromMs: startedMs - lookbackMs, window: null }
  yield { op: 'checkpoint', state: follow, done, total: done }
  context.log.info({ records: done }, `All ${object.type} are loaded.`)
  return follow
}

async function* hydrate(
  options: ObjectStreamOptions,
  context: SourceContext,
  ids: readonly string[],
): AsyncGenerator<Message<never>, void, void> {
  const { api, object } = options
  const { records, messages } = await fetchRecords(api, context, object, ids)
  yield* messages
  const present = records.map((record) => record.id)
  yield* await associationMessages(api, context, object, present)
}

function byId(left: ChangedId, right: ChangedId): number {
  const difference = BigInt(left.id) - BigInt(right.id)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The truth: reads the window to its end, a checkpoint after every `HYDRATE` ids. */
async function* delayedLane(
  options: ObjectStreamOptions,
  context: SourceContext,
  start: FollowState,
): AsyncGenerator<Message<ObjectState>, FollowState, void> {
  const { api, object, lagMs } = options
  const toMs = start.window?.toMs ?? context.now() - lagMs
  const { fromMs } = start
  // Short windows cost a search call each and say little new.
  if (start.window === null && toMs - fromMs < Math.max(1, lagMs / 4)) return start
  let lastId = start.window?.lastId ?? '0'
  for (;;) {
    const range = { type: object.type, cursor: object.cursor, fromMs, toMs, afterId: lastId }
    const found = [...(await searchChanged(api, context, range))].sort(byId)
    // The index may answer a body newer than its place in it: that one comes again in a later window.
    const inside = found.filter(({ modifiedMs }) => !(modifiedMs > toMs))
    for (let from = 0; from < inside.length; from += HYDRATE) {
      const ids = inside.slice(from, from + HYDRATE).map(({ id }) => id)
      yield* hydrate(options, context, ids)
      lastId = ids.at(-1) ?? lastId
      yield { op: 'checkpoint', state: { phase: 'follow', fromMs, window: { toMs, lastId } } }
    }
    lastId = found.at(-1)?.id ?? lastId
    if (found.length < SEARCH_LIMIT) break
  }
  const next: FollowState = { phase: 'follow', fromMs: toMs, window: null }
  yield { op: 'checkpoint', state: next }
  return next
}

/** What the fast lane has shown already, so that a window read every few seconds costs no second fetch. */
class ShownChanges {
  readonly #shown = new Map<string, number>()

  /** Those not shown since they were last modified. */
  fresh(found: readonly ChangedId[]): readonly ChangedId[] {
    return found.filter(({ id, modifiedMs }) => this.#shown.get(id) !== modifiedMs)
  }

  add(found: readonly ChangedId[]): void {
    for (const { id, modifiedMs } of found) this.#shown.set(id, modifiedMs)
  }

  forgetBefore(ms: number): void {
    for (const [id, modifiedMs] of this.#shown) if (modifiedMs < ms) this.#shown.delete(id)
  }
}

/** Newest changes, up to now. Its checkpoints repeat the state it was given: it vouches for nothing. */
async function* fastLane(
  options: ObjectStreamOptions,
  context: SourceContext,
  state: FollowState,
  shown: ShownChanges,
): Messages {
  const { api, object, lagMs } = options
  const toMs = context.now()
  const fromMs = Math.max(state.fromMs, toMs - 2 * lagMs)
  shown.forgetBefore(fromMs)
  let afterId = '0'
  for (let page = 0; page < FAST_PAGES; page += 1) {
    const range = { type: object.type, cursor: object.cursor, fromMs, toMs, afterId }
    const found = [...(await searchChanged(api, context, range))].sort(byId)
    const fresh = shown.fresh(found)
    for (let from = 0; from < fresh.length; from += HYDRATE) {
      const part = fresh.slice(from, from + HYDRATE)
      yield* hydrate(
        options,
        context,
        part.map(({ id }) => id),
      )
      yield { op: 'checkpoint', state }
      // Only now: the checkpoint has been committed when the runtime pulls again.
      shown.add(part)
    }
    afterId = found.at(-1)?.id ?? afterId
    if (found.length < SEARCH_LIMIT) return
  }
}

export function objectStream(options: ObjectStreamOptions): Stream<ObjectState> {
  const { object, everyMs, ready } = options
  const shown = new ShownChanges()
  const history = object.historyTable === undefined ? [] : [object.historyTable]
  return defineStream<ObjectState>({
    name: object.type,
    tables: [object.table, ...object.edges.map((edge) => edge.table), ...history],
    state: { version: 1, schema: objectState },
    everyMs,
    async *read(context, keys) {
      await ready(context)
      const ids = keys.map((key) => String(key.id))
      for (let from = 0; from < ids.length; from += HYDRATE) {
        yield* hydrate(options, context, ids.slice(from, from + HYDRATE))
      }
    },
    async *sync(context) {
      await ready(context)
      const { state } = context
      const start = state?.phase === 'follow' ? state : yield* load(options, context)
      // Newest first: a long delayed window must not keep a fresh change waiting.
      if (start.window === null) yield* fastLane(options, context, start, shown)
      yield* delayedLane(options, context, start)
    },
  })
}
