/**
 * IANA's list and three registries, as their RFCs describe them.
 *
 * | behaviour | source |
 * | --- | --- |
 * | `services`: pairs of suffixes and servers; the longest suffix wins; may be fetched conditionally | RFC 9224 §4, §8 |
 * | `/domain/{name}`: events (registration, last changed, expiration), status, entities with roles and jCard | RFC 9083 §5.3 |
 * | 404 for a name that is not registered, with a body or without | RFC 7480 §5.3 |
 * | 429, with Retry-After or without (the kit plays it) | RFC 7480 §5.5 |
 * | a name below a registered one is unknown (com), or refused with 400 (no) | registries differ; RFC 9082 §3.1.3 leaves it open |
 * | most registries send no ETag; where one is sent it is a strong one (no) | assumed |
 * | answers hold persons as entities | RFC 9083 §5.1 |
 */
import { rdap } from '../../connectors/rdap/index.ts'
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

interface Registration {
  readonly registrar: string
  readonly changedAt: number
}

const REGISTERED = '2014-05-06T07:08:09Z'
const EXPIRES = '2031-05-06T07:08:09Z'
const PERSON = 'Kari Nordmann'

export class Registries {
  readonly clock: KitClock
  /** Domains the CRM has, each with the name it is registered under, if it is. */
  readonly asked = new Map<string, string | null>()
  readonly #registered = new Map<string, Registration>()
  #removed: readonly string[] = []
  #made = 0
  #changed = 0

  constructor(count: number, clock: KitClock = manualClock()) {
    this.clock = clock
    this.make(count)
    this.asked.set('nobody.invalid', null)
    this.asked.set('free.com', null)
    clock.advance(1_000)
  }

  /** @returns the new domains, of every suffix, some below the registered name */
  make(count: number, registrar = 'Registrar & Co.'): readonly string[] {
    return Array.from({ length: count }, () => {
      this.#made += 1
      const suffix = ['com', 'no', 'co.uk'][this.#made % 3] ?? 'com'
      const name = `firm${this.#made}.${suffix}`
      const domain = this.#made % 5 === 0 ? `shop.${name}` : name
      this.add(domain, name, registrar)
      return domain
    })
  }

  add(domain: string, name: string, registrar: string): void {
    this.#registered.set(name, { registrar, changedAt: this.clock.now() })
    this.asked.set(domain, name)
  }

  change(count: number): void {
    const names = [...this.#registered.keys()]
    for (let done = 0; done < count && names.length > 0; done += 1) {
      const name = names[(this.#changed * 37) % names.length] ?? ''
      this.#changed += 1
      const before = this.#registered.get(name)
      if (before !== undefined) {
        this.#registered.set(name, { registrar: `${before.registrar}'`, changedAt: this.clock.now() })
      }
    }
  }

  remove(count: number): void {
    this.#removed = [...this.#registered.keys()].slice(0, count)
    for (const name of this.#removed) this.#registered.delete(name)
  }

  restore(): void {
    for (const name of this.#removed) {
      this.#registered.set(name, { registrar: 'Again Inc.', changedAt: this.clock.now() })
    }
  }

  truth() {
    const rows = [...this.asked].map(([domain, name]): SourceRow => {
      const found = name === null ? undefined : this.#registered.get(name)
      if (found === undefined) {
        const outcome = domain.endsWith('.invalid') ? 'no server' : 'absent'
        return { domain, outcome, registered_name: null, registered_at: null, changed_at: null, registrar: null }
      }
      return {
        domain,
        outcome: 'registered',
        registered_name: name,
        registered_at: REGISTERED,
        changed_at: new Date(found.changedAt).toISOString(),
        registrar: found.registrar.replaceAll('\0', '\uFFFD'),
      }
    })
    return { 'rdap.domains': rows }
  }

  #domain(zone: string, name: string, headers: FixtureRequest['headers']): FixtureAnswer {
    const found = this.#registered.get(name)
    if (found === undefined) {
      const isBelow = zone === 'no' && name.split('.').length > 2
      return isBelow
        ? { status: 400, body: { errorCode: 400, title: 'Bad Request' } }
        : { status: 404, body: { errorCode: 404, title: 'Not Found' } }
    }
    const etag = `"${found.changedAt}-${found.registrar.length}"`
    const isConditional = zone === 'no'
    if (isConditional && headers['if-none-match'] === etag) return { status: 304, headers: { etag } }
    const body = {
      objectClassName: 'domain',
      rdapConformance: ['rdap_level_0'],
      ldhName: name.toUpperCase(),
      status: ['client transfer prohibited', 'active'],
      events: [
        { eventAction: 'registration', eventDate: REGISTERED },
        { eventAction: 'expiration', eventDate: EXPIRES },
        { eventAction: 'last changed', eventDate: new Date(found.changedAt).toISOString() },
      ],
      entities: [
        { objectClassName: 'entity', roles: ['registrant'], vcardArray: ['vcard', [['fn', {}, 'text', PERSON]]] },
        {
          objectClassName: 'entity',
          roles: ['registrar'],
          vcardArray: [
            'vcard',
            [
              ['version', {}, 'text', '4.0'],
              ['fn', {}, 'text', found.registrar],
            ],
          ],
        },
      ],
    }
    const type = { 'content-type': 'application/rdap+json' }
    return { body, headers: isConditional ? { ...type, etag } : type }
  }

  answer({ path, headers }: FixtureRequest): FixtureAnswer {
    if (path === '/rdap/dns.json') {
      const etag = '"list-1"'
      if (headers['if-none-match'] === etag) return { status: 304, headers: { etag } }
      const services = [
        [['com', 'net', 'example'], ['/com/v1/']],
        [['no'], ['/no/']],
        [['uk'], ['http://127.0.0.1:1/', 'https://unused.example/']],
        [['co.uk'], ['/uk']],
      ]
      return { body: { version: '1.0', publication: '2026-01-01T00:00:00Z', services }, headers: { etag } }
    }
    const [, zone, name] = /^\/(com|no|uk)(?:\/v1)?\/domain\/([^/]+)$/.exec(path) ?? []
    return zone === undefined || name === undefined ? { status: 404 } : this.#domain(zone, name, headers)
  }
}

const NO_CREDENTIAL = 'anybody may ask: there is no credential'

export function rdapSpec(): ConformanceSpec {
  const crm = new CrmDomains()
  let registries = new Registries(0)
  async function fixture(): Promise<Fixture> {
    const made = new Registries(60)
    registries = made
    const server = await startFixtureServer((request) => made.answer(request))
    return {
      url: server.url,
      clock: made.clock,
      truth: () => made.truth(),
      create: (count) => crm.add(made.make(count)),
      change: (count) => made.change(count),
      remove: (count) => made.remove(count),
      restore: () => made.restore(),
      oddValues: async () => {
        for (const registrar of ['NUL \0 in it', '🚀 東京', 'ä'.repeat(1_000_000)])
          await crm.add(made.make(1, registrar))
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  }
  return {
    name: 'rdap',
    connector: ({ url }) => rdap({ baseUrl: url, freshMs: 21_600_000, callsPerSecond: 5 }),
    fixture,
    prepare: (database) => crm.prepare(database, [...registries.asked.keys()]),
    notApplicable: {
      'a token that ends in the middle of a run': NO_CREDENTIAL,
      'a refused credential stops the connector, and loses nothing': NO_CREDENTIAL,
      'a merged record lives on as another': 'domains are not merged',
      'a record erased for privacy is nowhere': 'nothing of persons is kept',
      'ties of more than 10,000': 'there is no list and no cursor: each domain is asked for by itself',
      'one poison record is set aside alone': 'the key of a record is what was asked for, so it always fits',
    },
  }
}
