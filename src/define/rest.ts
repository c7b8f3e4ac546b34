/**
 * Level 1 of the connector SDK: a stream of a REST source, declared instead of written. src/connect/rest runs it.
 *
 * ```ts
 * rest({
 *   table: companies,
 *   list: {
 *     path: '/companies', items: 'results',
 *     paging: { by: 'cursor', parameter: 'after', next: 'paging.after' },
 *     changed: { parameter: 'updated_since', field: 'updated_at' },
 *   },
 *   deleted: 'archived',
 *   sweep: { everyMs: DAY },
 * })
 * ```
 * A row's column is the item's field of the same name unless `columns` says otherwise; fields without a column go to
 * `raw`. What no listing can promise by itself the runtime adds: where records may shift between pages (page, offset) it
 * looks back until it finds nothing new.
 */
import type { Query } from './http.ts'
import type { Priority } from './stream.ts'
import type { Table } from './table.ts'

export type Item = Readonly<Record<string, unknown>>

/** A path into a JSON value, `paging.next.after`, or a function of it. `''` is the value itself. */
export type Selector<T = unknown> = string | ((value: T) => unknown)

export interface PageSize {
  readonly parameter: string
  readonly value: number
}

export type Paging =
  /** Numbered pages; an empty one ends the list. Every page is followed by a look back at the one before. */
  | { readonly by: 'page'; readonly parameter: string; readonly first?: number; readonly size?: PageSize }
  /** An offset into the list; each page overlaps the one before by one record. */
  | { readonly by: 'offset'; readonly parameter: string; readonly size: PageSize }
  /** An opaque token from the body of the page before; none ends the list. */
  | { readonly by: 'cursor'; readonly parameter: string; readonly next: Selector; readonly size?: PageSize }
  /** The URL of `rel="next"` in the Link header, or by `next` in the body. */
  | { readonly by: 'link'; readonly next?: Selector; readonly size?: PageSize }
  /** Records greater than the last one's `field` (default: the key), ascending; an empty page ends the list. */
  | { readonly by: 'keyset'; readonly parameter: string; readonly field?: string; readonly size?: PageSize }
  /** The answer is one JSON array of any size, gzip file or not: read as it comes, never held. `items` does not apply. */
  | { readonly by: 'stream'; readonly size?: undefined }

export type TimeFormat = 'iso' | 'ms' | 's' | 'date'

export interface Changed {
  /** Query parameter: records modified at or after. */
  readonly parameter: string
  /** How the parameter is written; default iso. */
  readonly format?: TimeFormat
  /** How late a change may show up in the list; the window never ends nearer to now. Default 60 s. */
  readonly lagMs?: number
  /** A column that only grows: a stored row with a greater value is left as it is. */
  readonly newerBy?: string
}

export interface RestList {
  readonly path: string
  readonly query?: Query
  /** Where the records are in the body. Default: the body itself. */
  readonly items?: Selector
  /** Default: one page. */
  readonly paging?: Paging
  /** After the first load, only what was modified since is asked for. Absent: every pass reads everything. */
  readonly changed?: Changed
  /** The items say only which records there are; each is then read by `one` or `many`. */
  readonly idsOnly?: boolean
}

export interface RestFeed {
  readonly path: string
  /** `position`: the last one read, or null at the start, when everything changed since `sinceMs` is wanted. */
  query(position: string | null, sinceMs: number): Query
  readonly items?: Selector
  /** The key of the record that changed, where the table has one key column. */
  readonly id: Selector<Item>
  /** Where the item stands in the feed; ascends. */
  readonly position: Selector<Item>
  /** The item says that the record is gone. */
  readonly deleted?: Selector<Item>
  /** How far before the start of the first load the feed is read from; default 10 min. */
  readonly lookbackMs?: number
}

/** Reads one record. 404 and 410 say that it is gone. */
export interface RestOne {
  path(id: string): string
  query?(id: string): Query
  readonly item?: Selector
  /** Other status codes that say the record is gone. */
  readonly gone?: readonly number[]
}

/** Reads a batch of records; one that is not in the answer is gone. */
export interface RestMany {
  readonly batch: number
  request(ids: readonly string[]): {
    readonly method?: 'GET' | 'POST'
    readonly path: string
    readonly query?: Query
    readonly body?: object
  }
  readonly items?: Selector
}

/**
 * One call for each value of a column of another source table, such as the domain of a CRM company. The stream's own
 * table is keyed by what was asked for.
 */
export interface RestLookup {
  readonly table: Table
  readonly column: string
  /** The value as the source is asked for it; null: nothing to ask. Default: as it is. */
  key?(value: string): string | null
  path(key: string): string
  query?(key: string): Query
  /** Where the record is in the body. No record (null): the source has none for this key. */
  readonly item?: string | ((body: unknown, key: string) => unknown)
  /** What is kept when the source knows nothing of a key (404, 410, 451, no record). Default: no row. */
  absent?(key: string): Item
  /** How long an answer, also that there is none, is good for. */
  readonly freshMs: number
}

export interface RestSpec {
  /** Default: the table's name. */
  readonly name?: string
  readonly table: Table
  /** Pause between passes; default 60 s. */
  readonly everyMs?: number
  readonly priority?: Priority
  /** At least one of list, feed and lookup. With list and feed, the list is the first load and what sweeps read. */
  readonly list?: RestList
  readonly feed?: RestFeed
  readonly lookup?: RestLookup
  readonly one?: RestOne
  readonly many?: RestMany
  /** Where a column's value is in the item. */
  readonly columns?: Readonly<Record<string, Selector<Item>>>
  /** Tombstone: the item says its record is gone. A true value, or any text that is not empty. */
  readonly deleted?: Selector<Item>
  /** The key the record lives on under after a merge; none for a record that was not merged. */
  readonly mergedInto?: Selector<Item>
  /**
   * Reads the whole list every so often and deletes what it no longer holds. `mayRemove`: the share of the rows that may go
   * at once; beyond it none does, and the pass fails. Ten always may. Default 0.5.
   */
  readonly sweep?: { readonly everyMs: number; readonly mayRemove?: number }
  /**
   * ETags are kept and sent: a list of one page or one stream, a record (`one`) or a lookup that has not changed is not read again.
   * After a change of `columns`, read everything once: `rescore sync … --full`.
   */
  readonly conditional?: boolean
  /** Keys of the budgets to draw from. Default: the connector's first. */
  readonly budget?: string | readonly string[]
}

/** What `rest` makes; run by the runtime like any other stream. */
export interface RestStream {
  readonly name: string
  readonly tables: readonly Table[]
  readonly everyMs: number
  readonly priority?: Priority | undefined
  readonly rest: RestSpec
}

/** @throws TypeError when the declaration cannot work, which types alone do not catch */
export function rest(spec: RestSpec): RestStream {
  const name = spec.name ?? spec.table.name
  const refuse = (problem: string) => {
    throw new TypeError(`Stream '${name}': ${problem}`)
  }
  if (spec.list === undefined && spec.feed === undefined && spec.lookup === undefined) {
    refuse('declare list, feed or lookup: there is nothing to read.')
  }
  if (spec.lookup !== undefined && (spec.list !== undefined || spec.feed !== undefined)) {
    refuse('a lookup is a stream of its own; declare list and feed in another.')
  }
  if (spec.feed !== undefined && spec.one === undefined && spec.many === undefined) {
    refuse('a feed names records; declare one or many to read them.')
  }
  if (spec.list?.idsOnly === true && spec.one === undefined && spec.many === undefined) {
    refuse('a list with idsOnly names records; declare one or many to read them.')
  }
  if (spec.list?.paging?.by === 'offset' && spec.list.paging.size.value < 2) {
    refuse('offset paging overlaps by one record, so a page must hold two at least.')
  }
  if (spec.sweep !== undefined && spec.list === undefined) refuse('a sweep reads the whole list; declare list.')
  const named = [
    ...Object.keys(spec.columns ?? {}),
    ...[spec.list?.changed?.newerBy].filter((column) => column !== undefined),
  ]
  for (const column of named) {
    if (!Object.hasOwn(spec.table.columns, column)) refuse(`table '${spec.table.id}' has no column '${column}'.`)
  }
  const needsOneKey = spec.feed ?? spec.one ?? spec.many ?? spec.lookup ?? spec.mergedInto
  if (needsOneKey !== undefined && spec.table.key.length !== 1) {
    refuse(`table '${spec.table.id}' needs exactly one key column for what is declared.`)
  }
  return { name, tables: [spec.table], everyMs: spec.everyMs ?? 60_000, priority: spec.priority, rest: spec }
}
