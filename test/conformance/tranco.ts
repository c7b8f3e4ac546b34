/**
 * Tranco as its pages describe it, with a list of two thousand lines.
 *
 * | behaviour | source |
 * | --- | --- |
 * | `/api/lists/date/latest` names the list of the day by an id, `available` false while there is none | tranco-list.eu/api_documentation |
 * | `/download/{id}/{lines}`: `rank,domain` a line, CRLF | tranco-list.eu; its Go and Python packages |
 * | a list never changes once it is made; the next day has another id | tranco-list.eu: ids are permanent |
 * | one call a second | tranco-list.eu/api_documentation |
 */
import { tranco } from '../../connectors/tranco/index.ts'
import {
  type ConformanceSpec,
  type Fixture,
  type FixtureAnswer,
  type FixtureRequest,
  type KitClock,
  manualClock,
  startFixtureServer,
} from '../../src/conformance/index.ts'
import { CrmDomains } from './crm-domains.ts'

const DAY_MS = 86_400_000
export const LENGTH = 2_000

export class Lists {
  readonly clock: KitClock
  /** Domains the CRM has, and which are in the list. */
  readonly asked = new Map<string, boolean>()
  readonly downloads: string[] = []
  /** Moves the ranks of all. */
  #shift = 0
  #made = 0
  #removed: readonly string[] = []
  #today: { readonly day: number; readonly domains: readonly string[] } | undefined

  constructor(count: number, clock: KitClock = manualClock()) {
    this.clock = clock
    this.make(count)
  }

  /** @returns the new domains, every fourth of them not in the list */
  make(count: number): readonly string[] {
    return Array.from({ length: count }, () => {
      this.#made += 1
      const domain = `site${this.#made}.example`
      this.asked.set(domain, this.#made % 4 !== 0)
      return domain
    })
  }

  change(): void {
    this.#shift += 13
  }

  remove(count: number): void {
    this.#removed = [...this.asked]
      .filter(([, isIn]) => isIn)
      .slice(0, count)
      .map(([domain]) => domain)
    for (const domain of this.#removed) this.asked.set(domain, false)
  }

  restore(): void {
    for (const domain of this.#removed) this.asked.set(domain, true)
  }

  #list(): { readonly id: string; readonly domains: readonly string[] } {
    const day = Math.floor(this.clock.now() / DAY_MS)
    if (this.#today?.day !== day) {
      const listed = [...this.asked].filter(([, isIn]) => isIn).map(([domain]) => domain)
      const others = Array.from({ length: LENGTH - listed.length }, (_, at) => `other${at}.example`)
      const at = this.#shift % others.length
      this.#today = { day, domains: [...others.slice(0, at), ...listed, ...others.slice(at)] }
    }
    return { id: `L${day}`, domains: this.#today.domains }
  }

  truth() {
    const { domains } = this.#list()
    const ranks = new Map(domains.map((domain, at) => [domain, at + 1]))
    return { 'tranco.ranks': [...this.asked.keys()].map((domain) => ({ domain, rank: ranks.get(domain) ?? null })) }
  }

  answer({ path }: FixtureRequest): FixtureAnswer {
    const { id, domains } = this.#list()
    if (path === '/api/lists/date/latest') {
      const download = `https://tranco-list.eu/download/${id}/1000000`
      return { body: { list_id: id, available: true, download, created_on: '2026-01-01T00:00:00', failed: false } }
    }
    const [, of, length] = /^\/download\/(\w+)\/(\d+)$/.exec(path) ?? []
    if (of !== id) return { status: 404, body: 'No such list' }
    this.downloads.push(id)
    const lines = domains.slice(0, Number(length)).map((domain, at) => `${at + 1},${domain}\r\n`)
    return { body: lines.join(''), headers: { 'content-type': 'text/csv' } }
  }
}

const NO_CREDENTIAL = 'anybody may read it: there is no credential'

export function trancoSpec(): ConformanceSpec {
  const crm = new CrmDomains()
  let current = new Lists(0)
  async function fixture(): Promise<Fixture> {
    const lists = new Lists(120)
    current = lists
    const server = await startFixtureServer((request) => lists.answer(request))
    return {
      url: server.url,
      clock: lists.clock,
      truth: () => lists.truth(),
      create: (count) => crm.add(lists.make(Math.min(count, 300))),
      change: () => lists.change(),
      remove: (count) => lists.remove(count),
      restore: () => lists.restore(),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  }
  return {
    name: 'tranco',
    connector: ({ url }) => tranco({ baseUrl: url, length: LENGTH }),
    fixture,
    prepare: (database) => crm.prepare(database, [...current.asked.keys()]),
    notApplicable: {
      'never over budget, counted by the server': 'two calls a day do not come near it',
      'a token that ends in the middle of a run': NO_CREDENTIAL,
      'a refused credential stops the connector, and loses nothing': NO_CREDENTIAL,
      'records that change while pages are read': 'a list never changes once it is made',
      'ties of more than 10,000': 'no two domains of a list have one rank',
      'a merged record lives on as another': 'domains are not merged',
      'a record erased for privacy is nowhere': 'nothing of persons is kept',
      'one poison record is set aside alone': 'the key of a record is what was asked for, so it always fits',
      'NUL, emoji, a megabyte and 2^53 + 1 arrive': 'the list holds nothing but names and ranks',
    },
  }
}
