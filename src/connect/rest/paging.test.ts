/**
 * Every kind of paging against a list that changes between two calls: records with equal times, some removed, some moved
 * to the end because they changed. Whatever stood in the list all along must be read.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { HttpAnswer, Paging, Query } from '../../define/index.ts'
import { type PagedCalls, readPages } from './paging.ts'

interface Entry {
  readonly id: number
  readonly at: number
}

/** A source that lists by (time, id), the order in which a change moves a record to the end. */
class Source {
  entries: Entry[]
  #clock = 1_000
  calls = 0
  readonly #edits: readonly Edit[]
  readonly #size: number
  readonly #paging: Paging

  constructor(paging: Paging, size: number, times: readonly number[], edits: readonly Edit[]) {
    this.#paging = paging
    this.#size = size
    this.#edits = edits
    this.entries = times.map((at, id) => ({ id: id + 1, at }))
    this.#sort()
  }

  #sort(): void {
    this.entries.sort((left, right) => left.at - right.at || left.id - right.id)
  }

  #edit(): void {
    const edit = this.#edits[this.calls]
    if (edit === undefined || this.entries.length === 0) return
    for (const { at, remove } of edit) {
      const [entry] = this.entries.splice(at % Math.max(1, this.entries.length), 1)
      this.#clock += 1
      if (!remove && entry !== undefined) this.entries.push({ ...entry, at: this.#clock })
    }
  }

  answer(query: Query, path?: string): HttpAnswer {
    this.#edit()
    this.calls += 1
    const asked = path === undefined ? query : { cursor: new URL(path).searchParams.get('cursor') }
    const value = Object.values(asked).find((one) => one !== null && one !== undefined)
    const [page, next] = this.#page(value === undefined ? undefined : String(value))
    const text = JSON.stringify({ items: page, next })
    const nextLink = next === undefined ? undefined : `https://source.example/list?cursor=${next}`
    return { status: 200, headers: {}, text, body: JSON.parse(text), etag: undefined, nextLink }
  }

  #page(value: string | undefined): readonly [readonly Entry[], string | undefined] {
    const { by } = this.#paging
    if (by === 'page' || by === 'offset') {
      const from = by === 'page' ? (Number(value) - 1) * this.#size : Number(value)
      return [this.entries.slice(from, from + this.#size), undefined]
    }
    const byId = by === 'keyset'
    const [at = -1, id = -1] = byId ? [-1, Number(value ?? -1)] : (value ?? '-1:-1').split(':').map(Number)
    const all = byId ? [...this.entries].sort((left, right) => left.id - right.id) : this.entries
    const rest = all.filter((entry) => (byId ? entry.id > id : entry.at > at || (entry.at === at && entry.id > id)))
    const page = rest.slice(0, this.#size)
    const last = page.at(-1)
    return [page, rest.length > page.length && last !== undefined ? `${last.at}:${last.id}` : undefined]
  }
}

type Edit = readonly { readonly at: number; readonly remove: boolean }[]

const SIZE = 5
const KINDS: readonly Paging[] = [
  { by: 'page', parameter: 'page' },
  { by: 'offset', parameter: 'offset', size: { parameter: 'limit', value: SIZE } },
  { by: 'cursor', parameter: 'cursor', next: 'next' },
  { by: 'link' },
  { by: 'keyset', parameter: 'after_id' },
]

const callsOf = (source: Source, paging: Paging): PagedCalls =>
  asking(paging, async (query, path) => source.answer(query, path))

/** A source that answers whole bodies only. */
function asking(paging: Paging | undefined, call: PagedCalls['call']): PagedCalls {
  const open = () => Promise.reject(new Error('nothing is streamed here'))
  return { paging, items: 'items', keyField: 'id', call, open }
}

async function readAll(calls: PagedCalls, start: string | null = null): Promise<readonly Entry[]> {
  const found: Entry[] = []
  for await (const { items } of readPages(calls, start)) {
    for (const item of items) found.push(item as Entry)
  }
  return found
}

/** Fewer than a page between two calls; few different times, so that ties are larger than a page. */
const edits = fc.array(fc.array(fc.record({ at: fc.nat(200), remove: fc.boolean() }), { maxLength: SIZE - 1 }), {
  maxLength: 30,
})
const times = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 })

describe.each(KINDS.map((paging) => [paging.by, paging] as const))('paging by %s', (_, paging) => {
  test('reads whatever stood in the list all along, ties and changes between pages or not', async () => {
    await fc.assert(
      fc.asyncProperty(times, edits, async (at, between) => {
        const source = new Source(paging, SIZE, at, between)
        const before = source.entries
        const found = await readAll(callsOf(source, paging))
        const there = new Set(source.entries.map(({ id }) => id))
        const read = new Set(found.map(({ id }) => id))
        expect(before.filter(({ id }) => there.has(id) && !read.has(id))).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('reads a list that stands still once each, and asks no more often than it must', async () => {
    const source = new Source(paging, SIZE, Array(23).fill(1), [])
    const found = await readAll(callsOf(source, paging))
    expect(found.map(({ id }) => id).sort((left, right) => left - right)).toEqual(source.entries.map(({ id }) => id))
    const most = { page: 11, offset: 7, cursor: 5, link: 5, keyset: 6, stream: 1 }[paging.by]
    expect(source.calls).toBeLessThanOrEqual(most)
  })
})

test.each(KINDS.filter(({ by }) => by === 'cursor' || by === 'link' || by === 'keyset'))(
  'a list left in the middle is gone on with from there ($by)',
  async (paging) => {
    const source = new Source(paging, SIZE, Array(23).fill(1), [])
    let left: string | null = null
    let pages = 0
    for await (const { resume } of readPages(callsOf(source, paging), null)) {
      left = resume
      pages += 1
      if (pages === 2) break
    }
    const rest = await readAll(callsOf(source, paging), left)
    expect(rest.map(({ id }) => id)).toEqual(source.entries.slice(10).map(({ id }) => id))
  },
)

test.each([
  [
    'a cursor that leads to itself',
    { by: 'cursor', parameter: 'cursor', next: 'next' },
    { items: [{ id: 1 }], next: 'x' },
  ],
  ['a key that does not ascend', { by: 'keyset', parameter: 'after_id' }, { items: [{ id: 1 }] }],
] as const)('%s is refused instead of read for ever', async (_, paging, body) => {
  const answer = { status: 200, headers: {}, text: 'x', body, etag: undefined, nextLink: undefined }
  const calls = asking(paging, async () => answer)
  await expect(readAll(calls)).rejects.toMatchObject({ code: 'CONNECT_PAGING_STUCK' })
})

test('an answer without its list is a failure, not the end of the list', async () => {
  const answer = { status: 200, headers: {}, text: '{}', body: { error: 'busy' }, etag: undefined, nextLink: undefined }
  const calls = asking(KINDS[0], async () => answer)
  await expect(readAll(calls)).rejects.toMatchObject({ code: 'CONNECT_NO_LIST', kind: 'transient' })
})

describe('a list that is one stream', () => {
  const streamOf = (count: number, etag: string | undefined): PagedCalls => ({
    ...asking({ by: 'stream' }, () => Promise.reject(new Error('pages are not asked for'))),
    open: async () => ({
      status: 200,
      headers: {},
      etag,
      chunks: (async function* () {
        const text = JSON.stringify(Array.from({ length: count }, (_, id) => ({ id, at: 0 })))
        for (let from = 0; from < text.length; from += 777) yield text.slice(from, from + 777)
      })(),
    }),
  })

  test.each([
    ['goes on where it was left while the source answers the same list', '"v1"', 1_500],
    ['is read from its start when the source answers another list', '"v2"', 2_500],
    ['is read from its start when the source does not say which list it is', undefined, 2_500],
  ])('%s', async (_, etagLater, rest) => {
    let left: string | null = null
    for await (const { resume } of readPages(streamOf(2_500, etagLater === undefined ? undefined : '"v1"'), null)) {
      left = resume
      break
    }
    expect(await readAll(streamOf(2_500, etagLater), left)).toHaveLength(rest)
  })
})
