/**
 * Asks registries about domains: each its own domains one after the other, all of them side by side.
 * Invariant: every domain that is asked for is remembered with the time it is due again, whatever came of it, so one that
 * cannot be answered never comes round at once; a registry that fails, or says twice in a row that it is asked too often,
 * is left alone for the rest of the pass.
 */
import type { HttpAnswer, Message, ReadContext, SourceRow, Table } from '../../src/define/index.ts'
import { candidates } from '../domains/candidates.ts'
import { readServers, type Servers, serverOf } from './bootstrap.ts'
import { rowOf, withoutAnswer } from './domain.ts'

const HOUR_MS = 3_600_000
const ABSENT = [404, 410]
/** The registry does not answer for this name, or not for us. */
const REFUSED = [400, 401, 403, 405, 406, 422, 451]
const LATER = 429

interface Group {
  /** undefined: no registry of their suffix answers. */
  readonly server: string | undefined
  readonly domains: readonly string[]
}

function isLasting(error: unknown): boolean {
  return error instanceof Error && 'kind' in error && (error.kind === 'transient' || error.kind === 'rate-limited')
}

/** The name that was found last, and the ETag of its answer. */
const memoryOf = (name: string, etag: string | undefined) => `${name} ${etag ?? ''}`

export class Registries {
  readonly #servers: Servers
  readonly #table: Table
  readonly #base: string
  readonly #freshMs: number
  /** Until when a registry is left alone. */
  readonly #closed = new Map<string, number>()
  /** Those whose last answer was "too often". */
  readonly #warned = new Set<string>()

  private constructor(servers: Servers, table: Table, base: string, freshMs: number) {
    this.#servers = servers
    this.#table = table
    this.#base = base
    this.#freshMs = freshMs
  }

  static async open(context: ReadContext, table: Table, base: string, freshMs: number) {
    const { servers, messages } = await readServers(context)
    return { registries: new Registries(servers, table, base, freshMs), messages }
  }

  grouped(domains: readonly string[]): readonly Group[] {
    const groups = new Map<string | undefined, string[]>()
    for (const domain of domains) {
      const server = serverOf(this.#servers, domain)
      groups.set(server, [...(groups.get(server) ?? []), domain])
    }
    return [...groups].map(([server, of]) => ({ server, domains: of }))
  }

  async ask(
    context: ReadContext,
    { server, domains }: Group,
    known: ReadonlyMap<string, string>,
  ): Promise<readonly Message<never>[]> {
    const messages: Message<never>[] = []
    for (const domain of domains) {
      if (server === undefined) messages.push(...this.#settled(context, withoutAnswer(domain, 'no server'), '', 1))
      else messages.push(...(await this.#askOne(context, server, domain, known.get(domain))))
    }
    return messages
  }

  #due(context: ReadContext, domain: string, value: string, dueMs: number): Message<never> {
    return { op: 'remember', name: domain, value, dueMs: Math.round(context.now() + dueMs) }
  }

  #settled(context: ReadContext, row: SourceRow, value: string, share: number): readonly Message<never>[] {
    const due = this.#due(context, String(row.domain), value, this.#freshMs * share)
    return [{ op: 'upsert', table: this.#table, row }, due]
  }

  #call(context: ReadContext, server: string, name: string, etag: string): Promise<HttpAnswer> {
    const url = new URL(`${server.replace(/\/$/, '')}/domain/${name}`, `${this.#base}/`)
    return context.http({
      path: url.href,
      accept: [...ABSENT, ...REFUSED, LATER],
      ifNoneMatch: etag === '' ? undefined : etag,
    })
  }

  async #askOne(
    context: ReadContext,
    server: string,
    domain: string,
    before: string | undefined,
  ): Promise<readonly Message<never>[]> {
    const closedMs = (this.#closed.get(server) ?? 0) - context.now()
    if (closedMs > 0) return [this.#due(context, domain, before ?? '', closedMs)]
    const [foundName = '', etag = ''] = (before ?? '').split(' ')
    const names = [...new Set([foundName, ...candidates(domain)])].filter((name) => name !== '')
    let outcome: 'absent' | 'refused' = 'absent'
    try {
      for (const name of names) {
        const answer = await this.#call(context, server, name, name === foundName ? etag : '')
        const { status } = answer
        if (status !== LATER) this.#warned.delete(server)
        if (status === 304) return [this.#due(context, domain, before ?? '', this.#freshMs)]
        if (status === LATER) return [this.#due(context, domain, before ?? '', this.#tooOften(context, server, answer))]
        // Some registries refuse a name below a registered one instead of not knowing it.
        const row = status === 200 ? rowOf(domain, name, answer.body) : null
        if (row !== null) return this.#settled(context, row, memoryOf(name, answer.etag), 1)
        outcome = ABSENT.includes(status) ? 'absent' : 'refused'
      }
    } catch (error) {
      if (context.signal.aborted || !isLasting(error)) throw error
      this.#closed.set(server, context.now() + HOUR_MS)
      const { host } = new URL(server, this.#base)
      context.log.warn({ server: host }, 'A registry fails; its domains are put off by an hour.')
      return [this.#due(context, domain, before ?? '', HOUR_MS)]
    }
    return this.#settled(context, withoutAnswer(domain, outcome), '', 1 / 4)
  }

  /** @returns how long the registry wants to be left alone, in ms */
  #tooOften(context: ReadContext, server: string, answer: HttpAnswer): number {
    const seconds = Number(answer.headers['retry-after'] ?? '')
    const waitMs = Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : HOUR_MS
    if (this.#warned.has(server)) this.#closed.set(server, context.now() + waitMs)
    this.#warned.add(server)
    return waitMs
  }
}
