/**
 * Reads a declared list: all of it, or what was modified since the last time.
 *
 * The window of modification times never ends at the newest record seen but a lag before the pass began, so neither ties
 * nor a late index lose anything; what was read twice is not written twice.
 * Invariant: a list that was read as a whole names its keys as it goes, and only its last page deletes what it did not
 * name. On a crash the list goes on where its paging can, else from its first page under a new name.
 */
import type { Changed, Message, Query, ReadContext, RestList, RestSpec, TimeFormat } from '../../define/index.ts'
import { isSourceError } from '../options.ts'
import { type PagedCalls, readPages } from './paging.ts'
import { budgetOf, readRecords } from './records.ts'
import { isItem, keyOf, recordMessage, selectFlag, selectText } from './select.ts'
import type { RestState } from './state.ts'

type Pass = NonNullable<RestState['pass']>
export type ListMessages = AsyncGenerator<Message<RestState>, RestState, void>

const DEFAULT_LAG_MS = 60_000
/** Worth a commit at the end of a page; the first page is a batch of its own, so that the first rows show at once. */
const BATCH = 1_000

/** A filter that means "after" still takes what was modified within one unit. */
const UNIT_MS: Readonly<Record<TimeFormat, number>> = { ms: 1, s: 1_000, iso: 1_000, date: 86_400_000 }

function timeText(ms: number, format: TimeFormat): string {
  if (format === 'ms') return String(Math.floor(ms))
  if (format === 's') return String(Math.floor(ms / 1_000))
  const iso = new Date(ms).toISOString()
  return format === 'iso' ? iso : iso.slice(0, 10)
}

function sinceQuery(changed: Changed | undefined, kind: Pass['kind'], fromMs: number | null): Query {
  if (changed === undefined || kind === 'full' || fromMs === null) return {}
  const format = changed.format ?? 'iso'
  return { [changed.parameter]: timeText(Math.max(0, fromMs - UNIT_MS[format]), format) }
}

function dueKind(spec: RestSpec, list: RestList, state: RestState, nowMs: number): Pass['kind'] | null {
  if (state.fromMs === null) return 'full'
  const { sweep } = spec
  if (sweep !== undefined && nowMs >= (state.sweptMs ?? 0) + sweep.everyMs) return 'full'
  if (list.changed !== undefined) return 'changed'
  return spec.feed === undefined ? 'full' : null
}

const listEtag = (list: RestList) => `etag-list:${list.path}`

function pagedCalls(
  spec: RestSpec,
  list: RestList,
  context: ReadContext,
  query: Query,
  known: string | undefined,
  onEtag: (etag: string | undefined) => void,
): PagedCalls {
  const { paging } = list
  const size = paging?.size === undefined ? {} : { [paging.size.parameter]: paging.size.value }
  const column = spec.table.key[0] ?? ''
  return {
    paging,
    items: list.items,
    keyField: spec.columns?.[column] ?? column,
    async call(pageQuery, path) {
      const own =
        path === undefined ? { path: list.path, query: { ...list.query, ...size, ...query, ...pageQuery } } : { path }
      const answer = await context.http({ ...own, ifNoneMatch: known, ...budgetOf(spec) })
      if (answer.status === 304) return undefined
      onEtag(answer.etag)
      return answer
    },
    async open() {
      const own = { path: list.path, query: { ...list.query, ...query } }
      const answer = await context.open({ ...own, ifNoneMatch: known, ...budgetOf(spec) })
      if (answer.status === 304) return undefined
      onEtag(answer.etag)
      return answer
    },
  }
}

/** The messages of one page, and the keys it names. */
async function* pageMessages(
  spec: RestSpec,
  list: RestList,
  context: ReadContext,
  items: readonly unknown[],
): AsyncGenerator<Message<never>, void, void> {
  if (list.idsOnly !== true) {
    for (const item of items) yield recordMessage(spec, item)
    return
  }
  const column = spec.table.key[0] ?? ''
  const ids = items.flatMap((item) => {
    const id = isItem(item) ? selectText(item, spec.columns?.[column] ?? column) : selectText(item, '')
    return id === undefined ? [] : [id]
  })
  yield* readRecords(spec, context, ids, false)
}

function listedKeys(spec: RestSpec, items: readonly unknown[]) {
  return items.flatMap((item) => {
    if (!isItem(item)) {
      const id = selectText(item, '')
      return id === undefined ? [] : [{ [spec.table.key[0] ?? '']: id }]
    }
    return selectFlag(item, spec.deleted) ? [] : [keyOf(spec, item)]
  })
}

/** A cursor may not outlive the run that got it: the source then refuses it. */
function isStaleCursor(error: unknown, pass: Pass | null, pages: number): boolean {
  return pass !== null && pages === 0 && isSourceError(error) && error.kind === 'config'
}

/** @returns the state after the list, or the one given when nothing is due */
export async function* readList(
  spec: RestSpec,
  list: RestList,
  context: ReadContext,
  state: RestState,
  isFirst: boolean,
): ListMessages {
  const kind = state.pass?.kind ?? dueKind(spec, list, state, context.now())
  if (kind === null) return state
  const { table } = spec
  const startedMs = state.pass?.startedMs ?? context.now()
  const listing = `${spec.name ?? table.name}:${startedMs}`
  const isSweep = kind === 'full' && spec.sweep !== undefined
  const isWhole = list.paging === undefined || list.paging.by === 'stream'
  const isConditional = spec.conditional === true && isWhole
  const known = isConditional && !isFirst ? (await context.recall([listEtag(list)])).get(listEtag(list)) : undefined
  let etag: string | undefined
  const query = sinceQuery(list.changed, kind, state.fromMs)
  const calls = pagedCalls(spec, list, context, query, known, (value) => {
    etag = value
  })
  let done = state.pass?.done ?? 0
  let pages = 0
  let unsaved = 0
  try {
    for await (const { items, resume } of readPages(calls, state.pass?.at ?? null)) {
      for await (const message of pageMessages(spec, list, context, items)) {
        unsaved += 1
        yield message
      }
      if (isSweep && items.length > 0) yield { op: 'listed', table, listing, keys: listedKeys(spec, items) }
      done += items.length
      pages += 1
      if (unsaved === 0 || (pages > 1 && unsaved < BATCH)) continue
      unsaved = 0
      const pass: Pass | null = resume === null ? null : { kind, startedMs, at: resume, done }
      yield { op: 'checkpoint', state: { ...state, pass }, done }
    }
  } catch (error) {
    if (!isStaleCursor(error, state.pass, pages)) throw error
    context.log.info({ listing }, 'The source no longer knows where the list was left: it is read from its first page.')
    return yield* readList(spec, list, context, { ...state, pass: null }, isFirst)
  }
  // A list that answered "not changed" has named nothing, and nothing is gone from it.
  const isUnchanged = isConditional && pages === 0
  if (isSweep && !isUnchanged) {
    const { mayRemove } = spec.sweep ?? {}
    yield { op: 'unlisted', table, listing, ...(mayRemove === undefined ? {} : { mayRemove }) }
  }
  if (isConditional && etag !== undefined) yield { op: 'remember', name: listEtag(list), value: etag }
  const lagMs = list.changed?.lagMs ?? DEFAULT_LAG_MS
  const next: RestState = {
    ...state,
    pass: null,
    fromMs: startedMs - lagMs,
    sweptMs: kind === 'full' ? startedMs : state.sweptMs,
    sinceMs: state.sinceMs ?? startedMs - (spec.feed?.lookbackMs ?? 600_000),
  }
  yield { op: 'checkpoint', state: next, done, ...(kind === 'full' ? { total: done } : {}) }
  return next
}
