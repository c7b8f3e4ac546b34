/**
 * GitHub's REST API as its documentation describes it, as far as organisations go.
 *
 * | behaviour | source |
 * | --- | --- |
 * | `/orgs/{org}`: login, blog, is_verified, public_repos, followers, created_at; 404 for no such organisation | docs.github.com/rest/orgs |
 * | `/orgs/{org}/repos`: type, sort, per_page up to 100 | docs.github.com/rest/repos |
 * | ETag; `If-None-Match` is answered by 304, which costs nothing of the primary limit when authorised | docs.github.com, best practices: conditional requests |
 * | 5,000 an hour with a token, 60 without; x-ratelimit-limit, -remaining, -reset (epoch seconds); beyond it 403 with remaining 0 | docs.github.com, rate limits |
 * | 401 "Bad credentials" | docs.github.com, troubleshooting |
 */
import { createHash } from 'node:crypto'
import { github } from '../../connectors/github/index.ts'
import {
  type ConformanceSpec,
  type Fixture,
  type FixtureAnswer,
  type FixtureRequest,
  type KitClock,
  manualClock,
  startFixtureServer,
} from '../../src/conformance/index.ts'
import type { SourceRow } from '../../src/define/index.ts'
import { CrmDomains } from './crm-domains.ts'

interface Organisation {
  readonly login: string
  readonly name: string
  readonly blog: string
  readonly stars: number
  readonly pushedAt: number
}

const HOUR_MS = 3_600_000

export class Organisations {
  readonly clock: KitClock
  readonly asked: string[] = []
  /** Calls answered by 304, and those that counted. */
  unchanged = 0
  counted = 0
  readonly #limit: number
  readonly #secret: string
  readonly #all = new Map<string, Organisation>()
  #removed: readonly Organisation[] = []
  #made = 0
  #changed = 0
  #hour = 0
  #used = 0

  constructor(secret: string, count: number, { clock = manualClock(), limit = 5_000 } = {}) {
    this.#secret = secret
    this.#limit = limit
    this.clock = clock
    this.make(count)
    this.asked.push('under_score.example', 'nobody.example')
    // Somebody else has the name.
    this.#all.set('taken', { login: 'taken', name: 'Other', blog: 'https://other.example', stars: 1, pushedAt: 0 })
    this.asked.push('taken.example')
  }

  make(count: number, name = 'Firm'): readonly string[] {
    const domains = Array.from({ length: count }, () => {
      this.#made += 1
      const login = `firm${this.#made}`
      const blog = this.#made % 2 === 0 ? `${login}.example` : `https://www.${login}.example/`
      this.add(login, name, blog, this.#made)
      return `${login}.example`
    })
    this.asked.push(...domains)
    return domains
  }

  add(login: string, name: string, blog: string, stars: number): void {
    this.#all.set(login, { login, name, blog, stars, pushedAt: this.clock.now() })
  }

  change(count: number): void {
    const all = [...this.#all.values()]
    for (let done = 0; done < count && all.length > 0; done += 1) {
      const found = all[(this.#changed * 37) % all.length]
      this.#changed += 1
      if (found !== undefined) {
        this.#all.set(found.login, {
          ...found,
          stars: found.stars + 1_000,
          name: `${found.name}'`,
          pushedAt: this.clock.now(),
        })
      }
    }
  }

  remove(count: number): void {
    this.#removed = [...this.#all.values()].slice(0, count)
    for (const { login } of this.#removed) this.#all.delete(login)
  }

  restore(): void {
    for (const one of this.#removed) this.#all.set(one.login, one)
  }

  truth() {
    const own = this.asked.flatMap((domain): (Organisation & { readonly domain: string })[] => {
      const found = this.#all.get(domain.split('.')[0] ?? '')
      return found?.blog.includes(domain) === true ? [{ ...found, domain }] : []
    })
    const clean = (text: string) => text.replaceAll('\0', '\uFFFD')
    return {
      'github.organisations': own.map(({ domain, login, name }): SourceRow => ({ domain, login, name: clean(name) })),
    }
  }

  /** Of those that are there; what was once read of others stays. */
  activity(): readonly SourceRow[] {
    return [...this.#all.values()].map(({ login, stars }) => ({ login, stars: stars + 2 }))
  }

  #body(login: string, isList: boolean): unknown {
    const found = this.#all.get(login)
    if (found === undefined) return undefined
    const { name, blog, stars, pushedAt } = found
    const created_at = '2019-01-02T03:04:05Z'
    if (!isList) {
      return {
        login,
        id: 1,
        name,
        blog,
        is_verified: true,
        public_repos: 2,
        followers: 7,
        created_at,
        type: 'Organization',
      }
    }
    const pushed_at = new Date(pushedAt).toISOString()
    const common = { open_issues_count: 1, forks_count: 1, language: 'TypeScript', created_at }
    return [
      { ...common, name: 'app', stargazers_count: stars, pushed_at },
      { ...common, name: 'old', stargazers_count: 2, pushed_at: created_at },
    ]
  }

  #rate(): Readonly<Record<string, string>> {
    const hour = Math.floor(this.clock.now() / HOUR_MS)
    if (hour !== this.#hour) this.#used = 0
    this.#hour = hour
    return {
      'x-ratelimit-limit': String(this.#limit),
      'x-ratelimit-remaining': String(Math.max(0, this.#limit - this.#used)),
      'x-ratelimit-reset': String(((hour + 1) * HOUR_MS) / 1_000),
    }
  }

  answer({ path, query, headers }: FixtureRequest): FixtureAnswer {
    if (headers.authorization !== `Bearer ${this.#secret}`) return { status: 401, body: { message: 'Bad credentials' } }
    this.#rate()
    if (this.#used >= this.#limit) {
      return { status: 403, headers: this.#rate(), body: { message: 'API rate limit exceeded' } }
    }
    const [, login, list] = /^\/orgs\/([a-z0-9-]+)(\/repos)?$/.exec(path) ?? []
    if (Number(query.per_page ?? 30) > 100) return { status: 422, body: { message: 'per_page is at most 100' } }
    const body = login === undefined ? undefined : this.#body(login, list !== undefined)
    const etag = `W/"${createHash('sha256')
      .update(JSON.stringify(body ?? null))
      .digest('hex')}"`
    if (body !== undefined && headers['if-none-match'] === etag) {
      this.unchanged += 1
      return { status: 304, headers: { ...this.#rate(), etag } }
    }
    this.#used += 1
    this.counted += 1
    if (body === undefined) return { status: 404, headers: this.#rate(), body: { message: 'Not Found' } }
    return { body, headers: { ...this.#rate(), etag } }
  }
}

export function githubSpec(): ConformanceSpec {
  const crm = new CrmDomains()
  let current = new Organisations('', 0)
  async function fixture({ secret }: { readonly secret: string }): Promise<Fixture> {
    const made = new Organisations(secret, 40)
    current = made
    const server = await startFixtureServer((request) => made.answer(request))
    return {
      url: server.url,
      clock: made.clock,
      truth: () => made.truth(),
      create: (count) => crm.add(made.make(Math.min(count, 300))),
      change: (count) => made.change(count),
      remove: (count) => made.remove(count),
      restore: () => made.restore(),
      oddValues: async () => {
        for (const name of ['NUL \0 in it', '🚀 東京', 'ä'.repeat(1_000_000)]) await crm.add(made.make(1, name))
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  }
  return {
    name: 'github',
    connector: ({ url, secret }) => github({ baseUrl: url, token: secret, freshMs: 6 * HOUR_MS, callsPerHour: 100 }),
    fixture,
    prepare: (database) => crm.prepare(database, [...current.asked]),
    notApplicable: {
      'a token that ends in the middle of a run': 'the credential of this source does not end by itself',
      'ties of more than 10,000': 'there is no list and no cursor: each organisation is asked for by itself',
      'a merged record lives on as another': 'organisations are not merged',
      'a record erased for privacy is nowhere': 'nothing of persons is kept',
      'one poison record is set aside alone': 'the key of a record is what was asked for, so it always fits',
    },
  }
}
