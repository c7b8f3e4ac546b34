/**
 * Five ways of reading what changed from a search that lags (research, connectors.md 1.5), as others' templates do it
 * and as it has to be done. Each keeps the newest value it has read of every company.
 */
import type { Simulator } from '../simulator/index.ts'

const LIMIT = 200
/** HubSpot answers 400 to whoever pages beyond. */
const MOST_RESULTS = 10_000
/** A poll that makes more calls than this goes round in circles. */
const MOST_CALLS = 120

interface Found {
  readonly id: number
  readonly value: string | null
  readonly modifiedMs: number
}

interface Page {
  readonly found: readonly Found[]
  readonly after: string | undefined
}

interface Filter {
  readonly propertyName: string
  readonly operator: 'GT' | 'GTE' | 'BETWEEN'
  readonly value: string
  readonly highValue?: string
}

interface Answer {
  readonly results?: readonly { readonly id: string; readonly properties: Readonly<Record<string, string | null>> }[]
  readonly paging?: { readonly next: { readonly after: string } }
}

const CURSOR = 'hs_lastmodifieddate'

/** A search was refused: what paging beyond 10,000 results gets. */
class Refused extends Error {}

export abstract class Reader {
  readonly values = new Map<number, string | null>()
  calls = 0
  failed = 0
  /** What was modified before is known from a first load. */
  protected readonly loadedMs: number
  readonly #simulator: Simulator

  constructor(simulator: Simulator) {
    this.#simulator = simulator
    const { portal } = simulator
    this.loadedMs = portal.clock.now()
    for (const { id, properties } of portal.live('companies')) this.values.set(id, properties.numberofemployees ?? null)
  }

  /** One look at what is new, at the portal's time. */
  async poll(nowMs: number): Promise<void> {
    try {
      await this.read(nowMs)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.failed += 1
    }
  }

  protected abstract read(nowMs: number): Promise<void>

  protected keep(found: readonly Found[]): void {
    for (const { id, value } of found) this.values.set(id, value)
  }

  protected async search(filters: readonly Filter[], sort: string, after?: string): Promise<Page> {
    this.calls += 1
    const { url, token } = this.#simulator
    const response = await fetch(`${url}/crm/objects/2026-09/companies/search`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({
        filterGroups: [{ filters }],
        sorts: [{ propertyName: sort, direction: 'ASCENDING' }],
        properties: ['numberofemployees'],
        limit: LIMIT,
        after,
      }),
    })
    const answer: Answer = JSON.parse(await response.text())
    if (!response.ok) throw new Refused(`HubSpot answered ${response.status}`)
    const found = (answer.results ?? []).map(({ id, properties }) => ({
      id: Number(id),
      value: properties.numberofemployees ?? null,
      modifiedMs: Date.parse(properties[CURSOR] ?? ''),
    }))
    return { found, after: answer.paging?.next.after }
  }
}

/** A: after the newest seen, page after page by offset. */
export class AfterNewest extends Reader {
  #newestMs = this.loadedMs

  protected async read(): Promise<void> {
    const filter: Filter = { propertyName: CURSOR, operator: 'GT', value: String(this.#newestMs) }
    let newestMs = this.#newestMs
    let after: string | undefined
    do {
      const page = await this.search([filter], CURSOR, after)
      this.keep(page.found)
      newestMs = Math.max(newestMs, ...page.found.map(({ modifiedMs }) => modifiedMs))
      after = page.after
    } while (after !== undefined)
    // A run that fails is done again from where it began.
    this.#newestMs = newestMs
  }
}

/** B: from the newest seen on, by offset; at 10,000 results anew from the newest of them. */
export class FromNewest extends Reader {
  #newestMs = this.loadedMs

  protected async read(): Promise<void> {
    let after: string | undefined
    const before = this.calls
    for (;;) {
      const filter: Filter = { propertyName: CURSOR, operator: 'GTE', value: String(this.#newestMs) }
      const page = await this.search([filter], CURSOR, after)
      this.keep(page.found)
      const newestMs = Math.max(this.#newestMs, ...page.found.map(({ modifiedMs }) => modifiedMs))
      if (page.after === undefined) {
        this.#newestMs = newestMs
        return
      }
      const isFull = Number(page.after) + LIMIT > MOST_RESULTS
      if (isFull) this.#newestMs = newestMs
      after = isFull ? undefined : page.after
      if (this.calls - before > MOST_CALLS) throw new Refused('round in circles')
    }
  }
}

/** C, D and E: a window of modification times, walked by id. */
export class Windowed extends Reader {
  readonly #lagMs: number
  readonly #lookbackMs: number
  #fromMs = this.loadedMs

  /** @param lagMs the window ends so long ago @param lookbackMs and begins so long before the last one's end */
  constructor(simulator: Simulator, { lagMs, lookbackMs }: { readonly lagMs: number; readonly lookbackMs: number }) {
    super(simulator)
    this.#lagMs = lagMs
    this.#lookbackMs = lookbackMs
  }

  protected async read(nowMs: number): Promise<void> {
    const toMs = nowMs - this.#lagMs
    const value = String(this.#fromMs - this.#lookbackMs)
    const window: Filter = { propertyName: CURSOR, operator: 'BETWEEN', value, highValue: String(toMs) }
    for (let lastId = 0, isMore = true; isMore; ) {
      const beyond: Filter = { propertyName: 'hs_object_id', operator: 'GT', value: String(lastId) }
      const { found } = await this.search([window, beyond], 'hs_object_id')
      this.keep(found)
      lastId = found.at(-1)?.id ?? lastId
      isMore = found.length === LIMIT
    }
    this.#fromMs = toMs
  }
}
