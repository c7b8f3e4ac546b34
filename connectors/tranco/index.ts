/**
 * Tranco: the rank of a company's site among the million most visited, from the list that is made every day. No key.
 *
 * ```ts
 * tranco()
 * ```
 * The list is a file of a million lines; it is read as it comes and only the CRM's own domains are kept of it, so memory
 * and tables grow with the CRM, not with the list. A day's list that was read is not fetched again, unless the CRM has new
 * domains. A domain that is not in the list has a row that says so.
 */
import { z } from 'zod'
import {
  defineConnector,
  defineStream,
  defineTable,
  integer,
  type Message,
  type ReadContext,
  type SourceContext,
  SourceError,
  type Table,
  text,
} from '../../src/define/index.ts'
import { companyDomains } from '../domains/index.ts'
import { ranksOf } from './ranks.ts'

export const trancoRanks = defineTable({
  name: 'tranco.ranks',
  key: 'domain',
  columns: {
    domain: text().notNull(),
    /** 1 is the most visited; null: not among the first million. */
    rank: integer(),
  },
})

export interface TrancoOptions {
  /** Where the domains are read from. Default: web.company_domains.domain */
  readonly domains?: { readonly table: Table; readonly column: string }
  /** Default: https://tranco-list.eu */
  readonly baseUrl?: string | undefined
  /** Lines of the list that are read; default one million. */
  readonly length?: number | undefined
  /** How long a list is good for before a newer one is looked for; default 12 h. */
  readonly freshMs?: number | undefined
  /** Pause between looks for domains without a rank; default 10 s. */
  readonly everyMs?: number | undefined
  /** Least pause between two downloads, however many domains are new; default 15 min. */
  readonly pauseMs?: number | undefined
}

/** Domains whose ranks are looked for in one reading of the list. */
const BATCH = 10_000
/** Of the list's download; it says nothing for a while before it begins. */
const PATIENCE_MS = 120_000

const state = z.object({ list: z.string(), looked: z.number(), readMs: z.number() })
const answer = z.looseObject({ available: z.boolean(), list_id: z.string().optional() })

/** @throws SourceError transient while no list is there */
async function latestList(context: SourceContext): Promise<string> {
  const { body } = await context.http({ path: '/api/lists/date/latest' })
  const { success, data } = answer.safeParse(body)
  if (success && data.available && data.list_id !== undefined) return data.list_id
  throw new SourceError({
    kind: 'transient',
    code: 'CONNECT_NO_LIST',
    message: 'Tranco names no list that could be read.',
    mend: 'It is asked again by itself. If it lasts, see https://tranco-list.eu.',
  })
}

export function tranco(options: TrancoOptions = {}) {
  const { baseUrl = 'https://tranco-list.eu', length = 1_000_000, freshMs = 43_200_000, everyMs = 10_000 } = options
  const { domains = { table: companyDomains, column: 'domain' }, pauseMs = 900_000 } = options

  /** What the list says of each, and that it is known until the next one. */
  async function* rank(context: ReadContext, list: string, wanted: readonly string[]) {
    const dueMs = context.now() + freshMs
    const known = await context.recall(wanted)
    const unread = wanted.filter((domain) => known.get(domain) !== list)
    if (unread.length > 0) {
      const { chunks } = await context.open({ path: `/download/${list}/${length}`, timeoutMs: PATIENCE_MS })
      const ranks = await ranksOf(chunks, new Set(unread), length)
      for (const domain of unread) {
        const upsert: Message<never> = {
          op: 'upsert',
          table: trancoRanks,
          row: { domain, rank: ranks.get(domain) ?? null },
        }
        yield upsert
      }
    }
    for (const name of wanted) {
      const remember: Message<never> = { op: 'remember', name, value: list, dueMs }
      yield remember
    }
  }

  const stream = defineStream<z.infer<typeof state>>({
    name: 'ranks',
    tables: [trancoRanks],
    everyMs,
    state: { version: 1, schema: state },
    async *sync(context) {
      if (context.state !== null && context.now() < context.state.readMs + pauseMs) return
      const readMs = context.now()
      let looked = context.state?.looked ?? 0
      let list: string | undefined
      for (;;) {
        const due = await context.due({ ...domains, limit: BATCH })
        if (due.length === 0) return
        list ??= await latestList(context)
        yield* rank(context, list, due)
        looked += due.length
        yield { op: 'checkpoint', state: { list, looked, readMs }, done: looked }
      }
    },
    async *read(context, keys) {
      const names = keys.map(({ domain }) => String(domain ?? ''))
      yield* rank(context, await latestList(context), names)
    },
  })
  return defineConnector({
    name: 'tranco',
    http: { baseUrl },
    budgets: [{ key: 'tranco', calls: 1, perMs: 1_000, concurrency: 1 }],
    streams: [stream],
    async check(context) {
      await latestList(context)
      return []
    },
  })
}
