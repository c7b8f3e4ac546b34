/**
 * Acme, an invented CRM: the fixture the SDK and the kit are tried with. One list of companies that can be paged in every
 * way, by (time of modification, id); archived and merged ones stay in it as tombstones, erased ones are gone.
 */
import type { CreateOptions, Fixture, FixtureAnswer, FixtureRequest } from '../../src/conformance/index.ts'
import { type KitClock, manualClock, startFixtureServer } from '../../src/conformance/index.ts'

export interface AcmeRecord {
  readonly id: bigint
  readonly name: string
  /** Text of a number, so that it may be larger than JavaScript's. */
  readonly employees: string
  readonly at: number
  readonly archived?: boolean
  readonly mergedInto?: bigint
}

const NUMBER = '@number:'
/** Beyond what a bigint column holds. */
const POISON = 10n ** 20n

function order(left: AcmeRecord, right: AcmeRecord): number {
  if (left.at !== right.at) return left.at - right.at
  return left.id < right.id ? -1 : left.id > right.id ? 1 : 0
}

export class Acme {
  readonly clock: KitClock
  readonly records = new Map<string, AcmeRecord>()
  readonly #secret: string
  #next = 1n
  #tokens = 0
  #changed = 0
  /** Acme's own tokens, where it is asked for one. */
  #token: string | undefined

  readonly #givesTokens: boolean

  /** `tokens`: the secret is only good for getting a token; otherwise it is the token. */
  constructor(secret: string, count: number, access: 'tokens' | 'secret', clock: KitClock = manualClock()) {
    this.#secret = secret
    this.#givesTokens = access === 'tokens'
    this.clock = clock
    for (let at = 0; at < count; at += 1) {
      this.create(1)
      if (at % 7 === 0) clock.advance(1_000)
    }
    clock.advance(600_000)
  }

  put(record: AcmeRecord): void {
    this.records.set(String(record.id), record)
  }

  live(): readonly AcmeRecord[] {
    return [...this.records.values()].filter(
      (one) => one.archived !== true && one.mergedInto === undefined && one.id < POISON,
    )
  }

  create(count: number, options: CreateOptions = {}): void {
    for (let made = 0; made < count; made += 1) {
      if (options.sameInstant !== true) this.clock.advance(1)
      const id = this.#next
      this.#next += 1n
      this.put({ id, name: `Company ${id}`, employees: String(id % 500n), at: this.clock.now() })
    }
  }

  change(count: number): void {
    const live = this.live()
    for (let done = 0; done < count && live.length > 0; done += 1) {
      // Old ones as well as those just changed, front and middle of the list.
      const record = live[(this.#changed * 37) % live.length]
      this.#changed += 1
      if (record !== undefined) this.put({ ...record, name: `${record.name}'`, at: this.clock.now() })
    }
  }

  remove(count: number): void {
    for (const record of this.live().slice(0, count)) this.put({ ...record, archived: true, at: this.clock.now() })
  }

  restore(): void {
    for (const record of this.records.values()) {
      if (record.archived === true) this.put({ ...record, archived: false, at: this.clock.now() })
    }
  }

  merge(): void {
    const [first, second] = this.live()
    if (first === undefined || second === undefined) throw new Error('nothing to merge')
    this.put({ ...first, mergedInto: second.id, at: this.clock.now() })
  }

  erase(): string {
    const [first] = this.live()
    if (first === undefined) throw new Error('nothing to erase')
    this.records.delete(String(first.id))
    return String(first.id)
  }

  poison(): void {
    this.create(2)
    this.put({ id: POISON, name: 'Poison', employees: '1', at: this.clock.now() })
    this.create(2)
  }

  oddValues(): void {
    const at = this.clock.now()
    const odd = ['NUL \0 in it', '🚀 Zürich 東京', 'ä'.repeat(1_000_000)]
    odd.forEach((name, index) => {
      this.put({ id: 9_007_199_254_740_993n + BigInt(index), name, employees: '9007199254740993', at })
    })
  }

  expireToken(): void {
    this.#token = undefined
  }

  truth() {
    const rows = this.live().map(({ id, name, employees }) => ({
      id,
      name: name.replaceAll('\0', '\uFFFD'),
      employees,
    }))
    return { 'acme.companies': rows }
  }

  #text(value: unknown): string {
    const json = JSON.stringify(value, (_, part: unknown) => (typeof part === 'bigint' ? NUMBER + part : part))
    return json.replace(/"@number:(-?\d+)"/g, '$1')
  }

  #item(record: AcmeRecord): object {
    const { id, name, employees, at, archived, mergedInto } = record
    return {
      id,
      name,
      stats: { employees: NUMBER + employees, offices: 1 },
      updated_at: new Date(at).toISOString(),
      ...(archived === undefined ? {} : { archived }),
      ...(mergedInto === undefined ? {} : { merged_into: mergedInto }),
    }
  }

  #page(query: FixtureRequest['query']): { readonly page: readonly AcmeRecord[]; readonly next: string | undefined } {
    const limit = Number(query.limit ?? query.limit_by_id ?? 100)
    const since = query.updated_since === undefined ? 0 : Date.parse(query.updated_since)
    const all = [...this.records.values()].filter(({ at }) => at >= since).sort(order)
    if (query.page !== undefined)
      return { page: all.slice((Number(query.page) - 1) * limit).slice(0, limit), next: undefined }
    if (query.offset !== undefined) return { page: all.slice(Number(query.offset)).slice(0, limit), next: undefined }
    if (query.limit_by_id !== undefined) {
      const after = all.filter(({ id }) => id > BigInt(query.after_id ?? 0))
      return { page: after.sort((left, right) => (left.id < right.id ? -1 : 1)).slice(0, limit), next: undefined }
    }
    const [at = '-1', id = '0'] = (query.cursor ?? '').split('_').filter((part) => part !== '')
    const sorted = all.filter((one) => one.at > Number(at) || (one.at === Number(at) && one.id > BigInt(id)))
    const page = sorted.slice(0, limit)
    const last = page.at(-1)
    return { page, next: sorted.length > limit && last !== undefined ? `${last.at}_${last.id}` : undefined }
  }

  #tokenAnswer(body: unknown): FixtureAnswer {
    const given = new URLSearchParams(typeof body === 'string' ? body : '')
    if (given.get('client_secret') !== this.#secret) return { status: 401, body: { error: 'invalid_client' } }
    this.#tokens += 1
    this.#token = `token-${this.#tokens}-${this.#secret.length}`
    return { body: { access_token: this.#token, expires_in: 86_400_000, token_type: 'bearer' } }
  }

  answer({ method, path, query, headers, body }: FixtureRequest): FixtureAnswer {
    if (path === '/token' && method === 'POST') return this.#tokenAnswer(body)
    const token = this.#givesTokens ? this.#token : this.#secret
    if (token === undefined || headers.authorization !== `Bearer ${token}`) {
      return { status: 401, body: { message: 'who are you?' } }
    }
    const one = /^\/companies\/(\d+)$/.exec(path)?.[1]
    if (one !== undefined) {
      const record = this.records.get(one)
      return record === undefined ? { status: 404 } : { body: this.#text(this.#item(record)) }
    }
    if (path !== '/companies') return { status: 404 }
    const { page, next } = this.#page(query)
    const link = new URLSearchParams({ ...query, cursor: next ?? '' })
    return {
      headers: next === undefined ? {} : { link: `</companies?${link}>; rel="next"` },
      body: this.#text({ results: page.map((record) => this.#item(record)), paging: { next: next ?? null } }),
    }
  }
}

async function startAcme(secret: string, access: 'tokens' | 'secret'): Promise<Fixture> {
  const acme = new Acme(secret, 250, access)
  const server = await startFixtureServer((request) => acme.answer(request))
  return {
    url: server.url,
    clock: acme.clock,
    truth: () => acme.truth(),
    create: (count, options) => acme.create(count, options),
    change: (count) => acme.change(count),
    remove: (count) => acme.remove(count),
    restore: () => acme.restore(),
    merge: () => acme.merge(),
    erase: () => acme.erase(),
    poison: () => acme.poison(),
    oddValues: () => acme.oddValues(),
    ...(access === 'tokens' ? { expireToken: () => acme.expireToken() } : {}),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

/** 250 companies, read with tokens that end. */
export const acmeFixture = ({ secret }: { readonly secret: string }) => startAcme(secret, 'tokens')

/** The same, read with the secret itself. */
export const acmeSecretFixture = ({ secret }: { readonly secret: string }) => startAcme(secret, 'secret')
