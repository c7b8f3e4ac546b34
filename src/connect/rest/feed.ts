/**
 * Follows a change feed: its items name records, which are then read as they are now.
 * Invariant: the position moves only with the records it covers; the same record twice in a page is read once.
 */
import { type Message, type ReadContext, type RestFeed, type RestSpec, SourceError } from '../../define/index.ts'
import { budgetOf, readRecords } from './records.ts'
import { isItem, itemsOf, selectFlag, selectText } from './select.ts'
import type { RestState } from './state.ts'

interface FeedPage {
  /** By id: whether the last the page says of it is that it is gone. */
  readonly changes: ReadonlyMap<string, boolean>
  readonly position: string
}

function readPage(feed: RestFeed, items: readonly unknown[]): FeedPage | null {
  const changes = new Map<string, boolean>()
  let position: string | undefined
  for (const item of items) {
    const id = isItem(item) ? selectText(item, feed.id) : undefined
    const at = isItem(item) ? selectText(item, feed.position) : undefined
    if (!isItem(item) || id === undefined || at === undefined) {
      throw new SourceError({
        kind: 'transient',
        code: 'CONNECT_FEED_ITEM',
        message: 'An item of the change feed has no id or no position.',
        mend: 'Check id and position of this stream against the documentation of the source.',
      })
    }
    changes.set(id, selectFlag(item, feed.deleted))
    position = at
  }
  return position === undefined ? null : { changes, position }
}

export async function* followFeed(
  spec: RestSpec,
  feed: RestFeed,
  context: ReadContext,
  start: RestState,
): AsyncGenerator<Message<RestState>, void, void> {
  const { table } = spec
  let state = start
  for (;;) {
    const query = feed.query(state.position, state.sinceMs ?? 0)
    const answer = await context.http({ path: feed.path, query, ...budgetOf(spec) })
    const items = itemsOf(answer, feed.items)
    const page = readPage(feed, items)
    if (page === null) return
    // A feed that answers from its position on ends with the item already read.
    if (page.position === state.position) {
      if (items.length === 1) return
      throw new SourceError({
        kind: 'config',
        code: 'CONNECT_PAGING_STUCK',
        message: `The change feed does not move past position ${page.position}.`,
        mend: 'Positions must ascend: check position and query of this stream.',
      })
    }
    for (const [id, isGone] of page.changes) {
      if (isGone) yield { op: 'delete', table, key: { [table.key[0] ?? '']: id }, reason: 'gone' }
    }
    const present = [...page.changes].filter(([, isGone]) => !isGone).map(([id]) => id)
    yield* readRecords(spec, context, present, false)
    state = { ...state, position: page.position }
    yield { op: 'checkpoint', state }
  }
}
