/** How a REST source that has lists is described to the kit: `restFixture` of this folder makes a server of it. */
import type { HttpAuth, Item, PageSize, Table, TimeFormat } from '../../define/index.ts'

export interface FixturePaging {
  readonly by: 'page' | 'offset' | 'cursor' | 'link' | 'keyset'
  /** Query parameter that says which page. Default for link: `cursor`. */
  readonly parameter?: string
  /** Number of the first page; default 1. */
  readonly first?: number
  /** `value`: most records of a page, and how many there are in one that does not ask. Default: 100. */
  readonly size?: PageSize
  /** With link: in the Link header instead of the body. */
  readonly linkHeader?: boolean
}

export interface FixturePage {
  readonly items: readonly unknown[]
  /** The cursor or link of the next page; null on the last one. */
  readonly next: string | null
}

export interface FixtureList {
  readonly table: Table
  /** Of the list, such as `/companies`. */
  readonly path: string
  /** Of one record, `{key}` for its key: `/companies/{key}`. */
  readonly one?: { readonly path: string; body?(item: unknown): unknown }
  /** Default: everything in one answer. */
  readonly paging?: FixturePaging
  /** Records modified at or after a time; `field` is the path to when that was. */
  readonly changed?: { readonly parameter: string; readonly format?: TimeFormat; readonly field?: string }
  /** How many there are to begin with; default: enough for three pages. */
  readonly records?: number
  /** The n-th record as the source sends it; n counts from 1. */
  record(n: number): Item
  /** The body of a page. Default: the items alone. */
  body?(page: FixturePage): unknown
  /** Where a column's value is in the record, as in the connector. Default: the field of its name. */
  readonly columns?: Readonly<Record<string, string>>
  /** A path to text that may be anything: it is what changes. Without one records never change. */
  readonly text?: string
  /** A path to a number that may be any. */
  readonly number?: string
  /** A path to what says that a record is gone. Without one it is no longer listed. */
  readonly deleted?: string
}

export interface RestFixtureSpec {
  /** How the connector signs in, with the kit's secret; anything else is answered 401. */
  readonly auth?: HttpAuth
  readonly lists: readonly FixtureList[]
}
