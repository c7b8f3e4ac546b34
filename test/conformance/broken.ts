/**
 * Connectors that are wrong in one way each, as authors are: what the kit is tried with. Each is a stream in code over
 * Acme's cursor pages; `sound` is the same without a mistake.
 */
import { z } from 'zod'
import {
  type Connector,
  type DeleteReason,
  defineConnector,
  defineStream,
  type HttpAnswer,
  type Message,
  type SyncContext,
} from '../../src/define/index.ts'
import { companies } from './acme-connector.ts'

const state = z.object({ fromMs: z.number().nullable(), cursor: z.string().nullable(), sweep: z.string() })
type State = z.infer<typeof state>
type Context = SyncContext<State>
type Item = Readonly<Record<string, unknown>>

/** Where a mistake can be made. */
export interface Parts {
  get(
    context: Context,
    path: string,
    at: { readonly url: string; readonly token: string },
  ): Promise<Partial<HttpAnswer>>
  itemsOf(body: unknown): readonly Item[]
  row(item: Item, context: Context): Readonly<Record<string, string | number | bigint | boolean | null | object>>
  isGone(item: Item): boolean
  /** Where the next run begins. */
  nextFrom(context: Context, startedMs: number, items: readonly Item[]): number
  since(fromMs: number): string
  /** Before or after the records of its page. */
  checkpointFirst: boolean
  sweeps: boolean
  merges: boolean
  /** Kept in the state. */
  note(token: string): string
  onItem(item: Item): void
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}

export const SOUND: Parts = {
  get: (context, path) => context.http({ path }),
  itemsOf(body) {
    const results = field(body, 'results')
    if (!Array.isArray(results)) throw new TypeError('no results')
    return results
  },
  row: (item) => ({
    id: Object(item.id).valueOf(),
    name: String(item.name),
    employees: Object(field(item.stats, 'employees')).valueOf(),
    updated_at: String(item.updated_at),
  }),
  isGone: (item) => item.archived === true,
  nextFrom: (_, startedMs) => startedMs - 60_000,
  since: (fromMs) => new Date(fromMs).toISOString(),
  checkpointFirst: false,
  sweeps: true,
  merges: true,
  note: () => '',
  onItem: () => undefined,
}

function* pageMessages(
  parts: Parts,
  context: Context,
  items: readonly Item[],
  listing: string,
): Generator<Message<never>> {
  const present: { id: string }[] = []
  for (const item of items) {
    parts.onItem(item)
    const key = { id: String(item.id) }
    const reason: DeleteReason = 'archived'
    const into = item.merged_into
    if (parts.merges && into !== undefined)
      yield { op: 'merge', table: companies, from: key, into: { id: String(into) } }
    else if (parts.isGone(item)) yield { op: 'delete', table: companies, key, reason }
    else {
      present.push(key)
      yield { op: 'upsert', table: companies, row: parts.row(item, context) }
    }
  }
  if (listing !== '') yield { op: 'listed', table: companies, listing, keys: present }
}

export function connectorOf(changed: Partial<Parts>, at: { readonly url: string; readonly token: string }): Connector {
  const parts = { ...SOUND, ...changed }
  async function* sync(context: Context): AsyncGenerator<Message<State>, void, void> {
    const startedMs = context.now()
    const isWhole = parts.sweeps || context.state === null
    const fromMs = context.state?.fromMs ?? null
    const listing = parts.sweeps ? `sweep:${startedMs}` : ''
    const filter = isWhole || fromMs === null ? '' : `&updated_since=${parts.since(fromMs)}`
    const all: Item[] = []
    let cursor = ''
    for (;;) {
      const answer = await parts.get(
        context,
        `/companies?limit=100${filter}${cursor === '' ? '' : `&cursor=${cursor}`}`,
        at,
      )
      const items = parts.itemsOf(answer.body)
      all.push(...items)
      const next = field(field(answer.body, 'paging'), 'next')
      const isEnd = typeof next !== 'string'
      const done: Message<State> = {
        op: 'checkpoint',
        state: {
          fromMs: isEnd ? parts.nextFrom(context, startedMs, all) : fromMs,
          cursor: null,
          sweep: parts.note(at.token),
        },
      }
      if (parts.checkpointFirst) yield done
      yield* pageMessages(parts, context, items, listing)
      if (isEnd && listing !== '') yield { op: 'unlisted', table: companies, listing }
      yield done
      if (isEnd) return
      cursor = next
    }
  }
  return defineConnector({
    name: 'acme',
    http: { baseUrl: at.url, auth: { kind: 'bearer', token: at.token } },
    budgets: [{ key: 'acme', calls: 10, perMs: 1_000, concurrency: 2 }],
    streams: [
      defineStream<State>({
        name: 'companies',
        tables: [companies],
        state: { version: 1, schema: state },
        everyMs: 1_000,
        sync,
      }),
    ],
    check: async () => [],
  })
}

/** Around the context: no budget, no time-out, no signal. */
async function ownFetch(path: string, { url, token }: { url: string; token: string }): Promise<Partial<HttpAnswer>> {
  const answer = await fetch(url + path, { headers: { authorization: `Bearer ${token}` } })
  if (!answer.ok) throw new Error(`answered ${answer.status}`)
  return { status: answer.status, body: await answer.json() }
}

/** The mistake, the check made for it, and the parts that make it. */
export const BROKEN: readonly (readonly [string, string, Partial<Parts>])[] = [
  [
    'takes the newest record it has seen as its cursor, and asks for later ones',
    'ties larger than a page',
    {
      sweeps: false,
      nextFrom: (context, _, items) =>
        Math.max(context.state?.fromMs ?? 0, ...items.map(({ updated_at }) => Date.parse(String(updated_at)) + 1)),
    },
  ],
  ['moves its checkpoint before the records', 'killed at every k-th message', { sweeps: false, checkpointFirst: true }],
  [
    'takes an answer it cannot read for the end of the list',
    '200 with HTML',
    {
      sweeps: false,
      get: (context, path) =>
        context.http({ path, expect: 'raw' }).then((answer) => {
          try {
            return { ...answer, body: JSON.parse(answer.text) }
          } catch {
            return { ...answer, body: {} }
          }
        }),
      itemsOf: (body) => {
        const results = field(body, 'results')
        return Array.isArray(results) ? results : []
      },
    },
  ],
  [
    'takes a failing source for one that has nothing',
    'nothing is lost to: 500',
    {
      sweeps: false,
      get: (context, path) => context.http({ path, accept: [500] }),
      itemsOf: (body) => {
        const results = field(body, 'results')
        return Array.isArray(results) ? results : []
      },
    },
  ],
  ['makes its own calls, which no abort ends', 'an abort ends the run', { get: (_, path, at) => ownFetch(path, at) }],
  ['makes its own calls, past the budget', 'never over budget', { get: (_, path, at) => ownFetch(path, at) }],
  [
    'asks by the machine’s clock',
    'two runs from one start',
    { get: (context, path) => context.http({ path: `${path}&asked_at=${Date.now()}` }) },
  ],
  [
    'writes down when it last looked',
    'a second run',
    { row: (item, context) => ({ ...SOUND.row(item, context), updated_at: context.now() }) },
  ],
  ['does not notice that a record is gone', 'a deleted record goes', { sweeps: false, isGone: () => false }],
  ['does not notice an erasure', 'erased for privacy', { sweeps: false }],
  ['does not know merges', 'a merged record', { sweeps: false, merges: false }],
  [
    'fails at a record it did not expect',
    'one poison record',
    {
      onItem: ({ id }) => {
        if (typeof id === 'bigint') throw new TypeError('an id was expected')
      },
    },
  ],
  [
    'makes numbers of ids',
    '2^53 + 1',
    { row: (item, context) => ({ ...SOUND.row(item, context), id: Number(item.id) }) },
  ],
  ['keeps the token in its state', 'no secret in any', { note: (token) => `Bearer ${token}` }],
]
