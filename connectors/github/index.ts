/**
 * GitHub: what the organisation of a company makes in public. Works without a token, with one far faster.
 *
 * ```ts
 * github({ token: process.env.GITHUB_TOKEN })
 * ```
 * An organisation is looked for under the name of the company's domain (`acme` for acme.example) and taken for the
 * company's only if the website on its profile is of that domain. What has not changed is answered by 304 and, with a
 * token, costs nothing of the hourly allowance.
 */
import { defineConnector, type Item, rest, type Table } from '../../src/define/index.ts'
import { registrableOf } from '../domains/candidates.ts'
import { companyDomains, domainOf } from '../domains/index.ts'
import { summaryOf } from './summary.ts'
import { activity, organisations } from './tables.ts'

export interface GithubOptions {
  /** A fine-grained token without any rights is enough. Default: none, 60 calls an hour. */
  readonly token?: string | undefined
  /** Default: https://api.github.com */
  readonly baseUrl?: string | undefined
  /** Where the domains are read from. Default: web.company_domains.domain */
  readonly domains?: { readonly table: Table; readonly column: string }
  /** How long an answer is good for; default 7 days. */
  readonly freshMs?: number | undefined
  /** Pause between looks for what to ask; default 10 s. */
  readonly everyMs?: number | undefined
  /** Default: 4,500 with a token, 50 without, below what GitHub allows. */
  readonly callsPerHour?: number | undefined
}

const HOUR_MS = 3_600_000
const LOGIN = /^[a-z\d](?:[a-z\d-]{0,37}[a-z\d])?$/

const loginOf = (domain: string) => registrableOf(domain).split('.')[0] ?? ''

/** The organisation, or null when its profile does not say that the domain is its own. */
function ofDomain(body: unknown, domain: string): Item | null {
  const found: Item = Object(body)
  const site = domainOf(typeof found.blog === 'string' ? found.blog : null)
  return site !== null && registrableOf(site) === registrableOf(domain) ? found : null
}

export function github(options: GithubOptions = {}) {
  const { token = '', baseUrl = 'https://api.github.com', freshMs = 7 * 24 * HOUR_MS, everyMs = 10_000 } = options
  const { domains = { table: companyDomains, column: 'domain' } } = options
  const { callsPerHour = token === '' ? 50 : 4_500 } = options
  const common = { everyMs, conditional: true, budget: ['hour', 'minute'] }
  return defineConnector({
    name: 'github',
    http: {
      baseUrl,
      ...(token === '' ? {} : { auth: { kind: 'bearer', token }, unchangedIsFree: 'hour' }),
      headers: { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28' },
      rateHeaders: {
        limit: 'x-ratelimit-limit',
        remaining: 'x-ratelimit-remaining',
        reset: 'x-ratelimit-reset',
        intervalMs: HOUR_MS,
      },
      // The secondary limit may come without any header.
      failure: ({ status, text, headers }) =>
        status === 403 && /rate limit/i.test(text) && headers['x-ratelimit-remaining'] !== '0'
          ? { kind: 'rate-limited', waitMs: 1_000 * Number(headers['retry-after'] ?? 60) }
          : undefined,
    },
    budgets: [
      { key: 'hour', calls: callsPerHour, perMs: HOUR_MS, concurrency: 4 },
      // 900 points a minute for all of REST; a read is one.
      { key: 'minute', calls: 300, perMs: 60_000, concurrency: 4 },
    ],
    streams: [
      rest({
        ...common,
        table: organisations,
        lookup: {
          ...domains,
          key: (domain) => (LOGIN.test(loginOf(domain)) ? domain : null),
          path: (domain) => `/orgs/${loginOf(domain)}`,
          item: ofDomain,
          freshMs,
        },
        columns: { website: 'blog' },
      }),
      rest({
        ...common,
        table: activity,
        lookup: {
          table: organisations,
          column: 'login',
          path: (login) => `/orgs/${login}/repos`,
          query: () => ({ type: 'sources', sort: 'pushed', per_page: 100 }),
          item: summaryOf,
          freshMs,
        },
      }),
    ],
  })
}

export * from './tables.ts'
