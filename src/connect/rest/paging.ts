/**
 * The pages of a declared list, so that no record is passed over.
 *
 * A record that is removed, or moves to the end because it changed, shifts all that follow it. Cursor and link pages are
 * the source's own promise; keyset pages and a stream cannot shift. Numbered pages look back after each page, offset pages overlap the
 * one before: both go back until they find nothing they have not seen.
 * Invariant: every record that stands in the list from before the first call until after the last is yielded, as long as
 * fewer records than a page holds shift between two calls.
 */
import { createHash } from 'node:crypto'
import {
  type HttpAnswer,
  type HttpStream,
  type Paging,
  type Query,
  type Selector,
  SourceError,
} from '../../define/index.ts'
import { arrayElements } from './elements.ts'
import { isItem, itemsOf, selectText } from './select.ts'

export interface Page {
  readonly items: readonly unknown[]
  /** Where to go on after this page, in another run too; null: only from the start. */
  readonly resume: string | null
}

export interface PagedCalls {
  readonly paging: Paging | undefined
  readonly items: Selector | undefined
  /** For keyset paging without a field of its own. */
  readonly keyField: Selector<Readonly<Record<string, unknown>>>
  /** `path` absent: the list's own. undefined: not changed since it was last read. */
  call(query: Query, path?: string): Promise<HttpAnswer | undefined>
  /** The list as one body. undefined: not changed since it was last read. */
  open(): Promise<HttpStream | undefined>
}

function stuck(where: string): SourceError {
  return new SourceError({
    kind: 'config',
    code: 'CONNECT_PAGING_STUCK',
    message: `The source answers the same page again and again (${where}).`,
    mend: 'Check the paging of this stream against the documentation of the source.',
  })
}

/** What was read lately, by content: a record that changed counts as new. */
class Seen {
  readonly #hashes = new Set<string>()
  static readonly #MOST = 50_000

  static #hash(item: unknown): string {
    const json = JSON.stringify(item, (_, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part)) ?? ''
    return createHash('sha1').update(json).digest('base64')
  }

  has(item: unknown): boolean {
    return this.#hashes.has(Seen.#hash(item))
  }

  /** Those not seen before; seen from now on. */
  fresh(items: readonly unknown[]): readonly unknown[] {
    return items.filter((item) => {
      const hash = Seen.#hash(item)
      if (this.#hashes.has(hash)) return false
      this.#hashes.add(hash)
      const [oldest] = this.#hashes
      if (this.#hashes.size > Seen.#MOST && oldest !== undefined) this.#hashes.delete(oldest)
      return true
    })
  }
}

type Pages = AsyncGenerator<Page, void, void>

async function* numberedPages(calls: PagedCalls, paging: Extract<Paging, { by: 'page' }>): Pages {
  const { parameter, first = 1 } = paging
  const seen = new Seen()
  const read = async (page: number) => itemsOf(await calls.call({ [parameter]: page }), calls.items)
  for (let page = first; ; ) {
    const items = await read(page)
    yield { items: seen.fresh(items), resume: null }
    let hasMissed = false
    for (let back = page - 1; back >= first; back -= 1) {
      const earlier = await read(back)
      const missed = seen.fresh(earlier)
      // A list that has grown shorter may end even before this page.
      if (missed.length === 0 && earlier.length > 0) break
      hasMissed ||= missed.length > 0
      yield { items: missed, resume: null }
    }
    if (items.length > 0) page += 1
    else if (!hasMissed) return
  }
}

async function* offsetPages(calls: PagedCalls, paging: Extract<Paging, { by: 'offset' }>): Pages {
  const seen = new Seen()
  // Only what stands behind everything read so far may anchor a page: not what was met beyond a gap.
  const anchors = new Seen()
  let read = 0
  let back = 1
  for (;;) {
    const from = Math.max(0, read - back)
    const items = itemsOf(await calls.call({ [paging.parameter]: from }), calls.items)
    const isAnchored = from === 0 || (items.length > 0 && anchors.has(items[0]))
    const fresh = seen.fresh(items)
    yield { items: fresh, resume: null }
    if (!isAnchored) {
      back *= 2
      continue
    }
    anchors.fresh(items)
    const isEnd = items.length === 0 || (back === 1 && fresh.length === 0 && items.length <= read - from)
    if (isEnd) return
    read = from + items.length
    back = 1
  }
}

/** A link that is not whole is relative to where it was found. */
function linkOf(text: string, url: string | undefined): string {
  return url !== undefined && URL.canParse(text, url) ? new URL(text, url).href : text
}

async function* cursorPages(
  calls: PagedCalls,
  paging: Extract<Paging, { by: 'cursor' | 'link' }>,
  start: string | null,
): Pages {
  for (let at = start; ; ) {
    const answer =
      paging.by === 'cursor'
        ? await calls.call(at === null ? {} : { [paging.parameter]: at })
        : await calls.call({}, at ?? undefined)
    if (answer === undefined) return
    const text = paging.next === undefined ? undefined : selectText(answer.body, paging.next)
    const named = paging.by === 'link' && text !== undefined ? linkOf(text, answer.url) : text
    const next = named ?? (paging.by === 'link' ? answer.nextLink : undefined) ?? null
    yield { items: itemsOf(answer, calls.items), resume: next }
    if (next === null) return
    if (next === at) throw stuck(paging.by)
    at = next
  }
}

function isAfter(next: string, last: string): boolean {
  const whole = /^-?\d+$/
  return whole.test(next) && whole.test(last) ? BigInt(next) > BigInt(last) : next !== last
}

async function* keysetPages(calls: PagedCalls, paging: Extract<Paging, { by: 'keyset' }>, start: string | null): Pages {
  const field = paging.field ?? calls.keyField
  for (let last = start; ; ) {
    const answer = await calls.call(last === null ? {} : { [paging.parameter]: last })
    const items = itemsOf(answer, calls.items)
    const end = items.at(-1)
    if (end === undefined) return
    const next = isItem(end) ? selectText(end, field) : undefined
    if (next === undefined || (last !== null && !isAfter(next, last))) throw stuck(`keyset after ${last ?? 'nothing'}`)
    yield { items, resume: next }
    last = next
  }
}

/** Elements to a page of a stream. */
const STREAM_PAGE = 1_000

/** Goes on where it was left, as long as the source still answers the same list. */
async function* streamedPages(calls: PagedCalls, start: string | null): Pages {
  const answer = await calls.open()
  if (answer === undefined) return
  const version = answer.etag ?? answer.headers['last-modified'] ?? ''
  const [, read = '0', of] = /^(\d+) (.*)$/s.exec(start ?? '') ?? []
  const skip = version !== '' && of === version ? Number(read) : 0
  let seen = 0
  let items: unknown[] = []
  for await (const element of arrayElements(answer.chunks)) {
    seen += 1
    if (seen <= skip) continue
    items.push(element())
    if (items.length < STREAM_PAGE) continue
    yield { items, resume: `${seen} ${version}` }
    items = []
  }
  if (items.length > 0) yield { items, resume: null }
}

/** @param start from an earlier page's `resume`; null: from the first */
export async function* readPages(calls: PagedCalls, start: string | null): Pages {
  const { paging } = calls
  if (paging === undefined) {
    const answer = await calls.call({})
    if (answer !== undefined) yield { items: itemsOf(answer, calls.items), resume: null }
    return
  }
  if (paging.by === 'page') yield* numberedPages(calls, paging)
  else if (paging.by === 'offset') yield* offsetPages(calls, paging)
  else if (paging.by === 'keyset') yield* keysetPages(calls, paging, start)
  else if (paging.by === 'stream') yield* streamedPages(calls, start)
  else yield* cursorPages(calls, paging, start)
}
