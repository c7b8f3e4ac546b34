/**
 * RDAP: since when a domain is registered, asked of the registry of its suffix, which IANA's list names. No key.
 *
 * ```ts
 * rdap({ domains: companyDomains })
 * ```
 * One call for each domain of the CRM, and again when the answer has grown old. That a domain is not registered is a fact
 * like any other and has a row. A registry that is asked too often, or fails for long, puts off its own domains only.
 */

import { z } from 'zod'
import {
  defineConnector,
  defineStream,
  defineTable,
  type Message,
  type ReadContext,
  type Table,
  text,
  timestamp,
} from '../../src/define/index.ts'
import { companyDomains } from '../domains/index.ts'
import { Registries } from './registries.ts'

export const rdapDomains = defineTable({
  name: 'rdap.domains',
  key: 'domain',
  columns: {
    /** As web.company_domains writes it. */
    domain: text().notNull(),
    /** registered, absent (the registry knows no such domain), refused (it does not answer), no server (for its suffix) */
    outcome: text().notNull(),
    /** The name that is registered: `example.com` for `shop.example.com`. */
    registered_name: text(),
    registered_at: timestamp(),
    changed_at: timestamp(),
    expires_at: timestamp(),
    registrar: text(),
    /** Values of RFC 8056, joined by ';'. */
    status: text(),
  },
})

export interface RdapOptions {
  /** Where the domains are read from. Default: web.company_domains.domain */
  readonly domains?: { readonly table: Table; readonly column: string }
  /** Of the list of servers (`/rdap/dns.json`). Default: https://data.iana.org */
  readonly baseUrl?: string | undefined
  /** How long an answer is good for; default 30 days. That there is none: a quarter of it. */
  readonly freshMs?: number | undefined
  /** Pause between looks for domains to ask for; default 10 s. */
  readonly everyMs?: number | undefined
  /** To all registries together; default 2. */
  readonly callsPerSecond?: number | undefined
}

const DAY_MS = 86_400_000
const BATCH = 50
const state = z.object({ looked: z.number() })

export function rdap(options: RdapOptions = {}) {
  const { baseUrl = 'https://data.iana.org', freshMs = 30 * DAY_MS, everyMs = 10_000, callsPerSecond = 2 } = options
  const { domains = { table: companyDomains, column: 'domain' } } = options

  async function* lookUp(
    context: ReadContext,
    registries: Registries,
    asked: readonly string[],
    known: ReadonlyMap<string, string>,
  ): AsyncGenerator<Message<never>, void, void> {
    yield* (await Promise.all(registries.grouped(asked).map((group) => registries.ask(context, group, known)))).flat()
  }

  const stream = defineStream<z.infer<typeof state>>({
    name: 'domains',
    tables: [rdapDomains],
    everyMs,
    state: { version: 1, schema: state },
    async *sync(context) {
      let looked = context.state?.looked ?? 0
      let registries: Registries | undefined
      for (;;) {
        const due = await context.due({ ...domains, limit: BATCH })
        if (due.length === 0) return
        if (registries === undefined) {
          const opened = await Registries.open(context, rdapDomains, baseUrl, freshMs)
          registries = opened.registries
          yield* opened.messages
        }
        yield* lookUp(context, registries, due, await context.recall(due))
        looked += due.length
        yield { op: 'checkpoint', state: { looked }, done: looked }
      }
    },
    async *read(context, keys) {
      const { registries, messages } = await Registries.open(context, rdapDomains, baseUrl, freshMs)
      yield* messages
      const names = keys.map(({ domain }) => String(domain ?? ''))
      yield* lookUp(context, registries, names, new Map())
    },
  })
  return defineConnector({
    name: 'rdap',
    http: { baseUrl, headers: { accept: 'application/rdap+json, application/json' } },
    budgets: [{ key: 'rdap', calls: callsPerSecond, perMs: 1_000, concurrency: 4 }],
    streams: [stream],
  })
}
