/**
 * The records of one type: loaded once by list, then followed by their last-modified time.
 *
 * The search index lags, ties are normal (a bulk edit stamps thousands of records with one millisecond) and a search
 * ends at 10,000 results. So a window (from, to] of modification times is read by ascending id, never by offset, and
 * `to` stays `lagMs` behind the clock: that delayed lane is the truth. A fast lane reads the newest changes up to now so
 * that they show at once; what it misses, the delayed lane brings.
 * On a crash the window is resumed after the last id that was committed.
 */
import { defineStream, type Message, type SourceContext, type Stream } from '../../src/define/index.ts'
import { HYDRATE, hydrate } from './hydrate.ts'
import { loadAll } from './load.ts'
import {
  type FollowState,
  migrateState,
  type ObjectState,
  type ObjectStreamOptions,
  objectState,
  type SinceState,
} from './object-state.ts'
import { type ChangedId, SEARCH_LIMIT, searchChanged } from './records.ts'

/** The fast lane is bounded: a bulk edit is the delayed lane's work. */
const FAST_PAGES = 5

type Messages = AsyncGenerator<Message<ObjectState>, void, void>

function byId(left: ChangedId, right: ChangedId): number {
  const difference = BigInt(left.id) - BigInt(right.id)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** The truth: reads the window to its end, a checkpoint after every `HYDRATE` ids. */
async function* delayedLane(
  options: ObjectStreamOptions,
  context: SourceContext,
  start: FollowState | SinceState,
): Messages {
  const { api, object } = options
  const lagMs = start.phase === 'since' ? 0 : options.lagMs
  const toMs = start.window?.toMs ?? context.now() - lagMs
  const { fromMs } = start
  // Short windows cost a search call each and say little new.
  if (start.window === null && toMs - fromMs < Math.max(1, lagMs / 4)) return
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
      yield { op: 'checkpoint', state: { ...start, window: { toMs, lastId } } }
    }
    lastId = found.at(-1)?.id ?? lastId
    if (found.length < SEARCH_LIMIT) break
  }
  yield { op: 'checkpoint', state: { ...start, fromMs: toMs, window: null } }
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
    state: { version: 2, schema: objectState, migrate: migrateState },
    everyMs,
    stateFull: () => ({ phase: 'load', startedMs: 0, after: null, lastId: null, done: 0, once: true }),
    stateSince: (ms) => ({ phase: 'since', fromMs: ms, window: null }),
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
      const isLoading = state === null || state.phase === 'load'
      const start = isLoading ? yield* loadAll(options, context) : state
      if (state?.phase === 'load' && state.once) return
      // Newest first: a long delayed window must not keep a fresh change waiting.
      if (start.phase === 'follow' && start.window === null) yield* fastLane(options, context, start, shown)
      yield* delayedLane(options, context, start)
    },
  })
}
