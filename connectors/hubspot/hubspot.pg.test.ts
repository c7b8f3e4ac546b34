/**
 * The connector end to end against a small portal over HTTP: what it reads lands in PostgreSQL as the portal has it,
 * whatever the wire does.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { BudgetBook } from '../../src/connect/budget.ts'
import {
  prepareConnector,
  type RunConnectorOptions,
  runConnector,
  runPass,
  sourceContext,
} from '../../src/connect/runner.ts'
import type { Connector } from '../../src/define/index.ts'
import { bigint, defineTable, number, text, timestamp } from '../../src/define/index.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { type HubspotOptions, hubspot } from './index.ts'

const TOKEN = 'pat-secret-0123456789'
const T0 = Date.parse('2026-06-01T00:00:00Z')

interface Stored {
  properties: Record<string, string | null>
  modifiedMs: number
  archived: boolean
}
type Fault = (response: ServerResponse, body: string) => void

const tables = {
  companies: defineTable({
    name: 'hubspot.companies',
    key: 'id',
    columns: { id: bigint().notNull(), name: text(), numberofemployees: number(), hs_lastmodifieddate: timestamp() },
  }),
  contacts: defineTable({
    name: 'hubspot.contacts',
    key: 'id',
    columns: { id: bigint().notNull(), email: text(), lastmodifieddate: timestamp() },
  }),
  deals: defineTable({
    name: 'hubspot.deals',
    key: 'id',
    columns: { id: bigint().notNull(), dealname: text(), hs_lastmodifieddate: timestamp() },
  }),
}
const PROPERTY_TYPES: Record<string, Record<string, string>> = {
  companies: { name: 'string', numberofemployees: 'number', hs_lastmodifieddate: 'datetime' },
  contacts: { email: 'string', lastmodifieddate: 'datetime' },
  deals: { dealname: 'string', hs_lastmodifieddate: 'datetime' },
}

class Portal implements AsyncDisposable {
  readonly records: Record<string, Map<number, Stored>> = {
    companies: new Map(),
    contacts: new Map(),
    deals: new Map(),
  }
  /** 'companies>contacts' to id to [id, type]. */
  readonly edges = new Map<string, Map<number, [number, number][]>>()
  readonly merged = new Map<number, number>()
  readonly faults: Fault[] = []
  nowMs = T0
  calls = 0
  readonly #server = createServer((request, response) => void this.#serve(request, response))

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  of(type: string): Map<number, Stored> {
    const records = this.records[type]
    if (records === undefined) throw new Error(`no type ${type}`)
    return records
  }

  put(type: string, id: number, properties: Record<string, string | null>): void {
    this.of(type).set(id, { properties, modifiedMs: this.nowMs, archived: false })
  }

  link(key: string, from: number, edges: [number, number][]): void {
    const known = this.edges.get(key) ?? new Map<number, [number, number][]>()
    known.set(from, edges)
    this.edges.set(key, known)
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = ''
    for await (const chunk of request) text += chunk
    this.calls += 1
    const url = new URL(request.url ?? '', 'http://portal')
    const [status, body] = this.#answer(request, url, text)
    const json = JSON.stringify(body)
    const fault = this.faults.shift()
    if (fault !== undefined) {
      fault(response, json)
      return
    }
    response.writeHead(status, { 'content-type': 'application/json' }).end(json)
  }

  #answer(request: IncomingMessage, url: URL, text: string): [number, unknown] {
    if (request.headers.authorization !== `Bearer ${TOKEN}`)
      return [401, { message: `bad ${request.headers.authorization}` }]
    const [, , area = '', , type = '', ...rest] = url.pathname.split('/')
    const body = text === '' ? {} : JSON.parse(text)
    if (area === 'properties') {
      const known = Object.entries(PROPERTY_TYPES[type] ?? {})
      return [200, { results: known.map(([name, kind]) => ({ name, type: kind })) }]
    }
    if (area === 'associations') return [200, this.#associations(`${type}>${rest[0]}`, body.inputs)]
    if (rest[0] === 'search') return [200, this.#search(type, body)]
    if (rest[0] === 'batch') {
      const results = body.inputs.flatMap(({ id }: { id: string }) => this.#live(type, Number(id), false) ?? [])
      return [results.length === body.inputs.length ? 200 : 207, { results }]
    }
    const archived = url.searchParams.get('archived') === 'true'
    if (rest[0] !== undefined) {
      const found = this.#live(type, this.merged.get(Number(rest[0])) ?? Number(rest[0]), archived)
      return found === undefined ? [404, { message: 'not found' }] : [200, found]
    }
    return [200, this.#list(type, url, archived)]
  }

  #live(type: string, id: number, archived: boolean): object | undefined {
    const stored = this.of(type).get(id)
    if (stored === undefined || stored.archived !== archived) return undefined
    const cursor = type === 'contacts' ? 'lastmodifieddate' : 'hs_lastmodifieddate'
    const modified = new Date(stored.modifiedMs).toISOString()
    return { id: String(id), properties: { ...stored.properties, [cursor]: modified } }
  }

  #list(type: string, url: URL, archived: boolean): object {
    const limit = Number(url.searchParams.get('limit'))
    const after = Number(url.searchParams.get('after') ?? 0)
    const ids = [...this.of(type).keys()].sort((a, b) => a - b)
    const rest = ids.filter((id) => id > after && this.#live(type, id, archived) !== undefined)
    const page = rest.slice(0, limit)
    const next = rest.length > limit ? { paging: { next: { after: String(page.at(-1)) } } } : {}
    return { results: page.map((id) => this.#live(type, id, archived)), ...next }
  }

  #search(
    type: string,
    body: { filterGroups: [{ filters: { value: string; highValue?: string }[] }]; limit: number },
  ): object {
    const [range, above] = body.filterGroups[0].filters
    const inside = [...this.of(type)]
      .filter(([id, { modifiedMs, archived }]) => {
        return (
          !archived &&
          modifiedMs >= Number(range?.value) &&
          modifiedMs <= Number(range?.highValue) &&
          id > Number(above?.value)
        )
      })
      .map(([id]) => id)
      .sort((a, b) => a - b)
    return { total: inside.length, results: inside.slice(0, body.limit).map((id) => this.#live(type, id, false)) }
  }

  #associations(key: string, inputs: { id: string; after?: string }[]): object {
    const results = inputs.flatMap(({ id, after }) => {
      const all = this.edges.get(key)?.get(Number(id)) ?? []
      const start = Number(after ?? 0)
      const page = all.slice(start, start + 2)
      if (page.length === 0) return []
      const to = page.map(([toObjectId, typeId]) => ({ toObjectId, associationTypes: [{ typeId, label: null }] }))
      return { from: { id }, to, ...(all.length > start + 2 ? { paging: { next: { after: String(start + 2) } } } : {}) }
    })
    return { results }
  }
}

async function setUp(options: Partial<HubspotOptions> = {}) {
  const portal = new Portal()
  const db = await createTestDatabase('hubspot')
  const baseUrl = await portal.open()
  const connector = hubspot({
    accessToken: TOKEN,
    baseUrl,
    ...tables,
    history: [],
    lagMs: 60_000,
    callsPer10s: 10_000,
    searchesPerSecond: 1_000,
    ...options,
  })
  const warnings: string[] = []
  const run: RunConnectorOptions = {
    pool: db.pool,
    connector,
    signal: new AbortController().signal,
    clock: { now: () => portal.nowMs },
    log: { info: () => undefined, warn: (fields, message) => void warnings.push(JSON.stringify(fields) + message) },
  }
  await prepareConnector(run)
  const book = new BudgetBook()
  const pass = async (name: string) => {
    const stream = connector.streams.find((candidate) => candidate.name === name)
    if (stream === undefined) throw new Error(`no stream ${name}`)
    return runPass(run, stream, book)
  }
  const stored = async (type = 'companies') => {
    const { rows } = await db.query(`select to_jsonb(t) as row from hubspot.${type} t order by id`)
    return rows.map(({ row }) => row)
  }
  const dispose = async () => {
    await portal[Symbol.asyncDispose]()
    await db[Symbol.asyncDispose]()
  }
  return { portal, db, connector, run, warnings, pass, stored, book, [Symbol.asyncDispose]: dispose }
}

/** What the table must hold, told by the portal itself. */
function expected(portal: Portal): object[] {
  return [...portal.of('companies')]
    .filter(([, { archived }]) => !archived)
    .sort(([left], [right]) => left - right)
    .map(([id, { properties, modifiedMs }]) => ({
      id,
      name: properties.name ?? null,
      numberofemployees: properties.numberofemployees == null ? null : Number(properties.numberofemployees),
      hs_lastmodifieddate: new Date(modifiedMs).toISOString().replace(/\.?0*Z$/, '+00:00'),
    }))
}

function fill(portal: Portal, count: number): void {
  for (let id = 1; id <= count; id += 1)
    portal.put('companies', id, { name: `Company ${id}`, numberofemployees: String(id) })
}

describe('hubspot', () => {
  it('loads everything, follows edits, and a second look writes nothing', async () => {
    await using at = await setUp()
    fill(at.portal, 250)
    await at.pass('companies')
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    at.portal.nowMs += 30_000
    at.portal.put('companies', 17, { name: 'Renamed', numberofemployees: null })
    at.portal.put('companies', 9_000, { name: 'New', numberofemployees: '3' })
    expect((await at.pass('companies')).written).toBe(2)
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    at.portal.nowMs += 120_000
    expect((await at.pass('companies')).written).toBe(0)
  })

  it('loses nothing of a bulk edit that stamps more than 10,000 records with one millisecond', async () => {
    await using at = await setUp()
    fill(at.portal, 10_500)
    await at.pass('companies')
    at.portal.nowMs += 3_600_000
    for (let id = 1; id <= 10_500; id += 1) at.portal.put('companies', id, { name: 'Bulk', numberofemployees: '1' })
    at.portal.nowMs += 120_000
    await at.pass('companies')
    expect(await at.stored()).toStrictEqual(expected(at.portal))
  })

  it('loses nothing to refusals, broken pages, cut connections and half bodies', async () => {
    await using at = await setUp()
    fill(at.portal, 350)
    const html: Fault = (response) =>
      void response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad gateway')
    const okHtml: Fault = (response) => void response.writeHead(200).end('<html>')
    const limited: Fault = (response) =>
      void response.writeHead(429, { 'retry-after': '0.1' }).end('{"policyName":"SECONDLY"}')
    const reset: Fault = (response) => void response.socket?.resetAndDestroy()
    const half: Fault = (response, body) => {
      response.writeHead(200, { 'content-length': String(Buffer.byteLength(body)) })
      response.write(body.slice(0, body.length / 2), () => response.destroy())
    }
    const pass: Fault = (response, body) => void response.writeHead(200).end(body)
    at.portal.faults.push(html, pass, half, okHtml, pass, reset, limited, pass, half)
    await at.pass('companies')
    expect(at.portal.faults).toStrictEqual([])
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    expect(at.warnings.length).toBeGreaterThan(3)
    expect(at.warnings.join('\n')).not.toContain(TOKEN)
  })

  it('resumes after a crash at every checkpoint of the load and ends with the same table', async () => {
    await using at = await setUp()
    fill(at.portal, 420)
    let crashes = 0
    const stream = at.connector.streams[0]
    if (stream === undefined) throw new Error('no stream')
    for (let crashed = true; crashed; ) {
      crashed = false
      let landed = 0
      const afterLand = () => {
        landed += 1
        if (landed === 1 && crashes < 5) throw new Error('crash')
      }
      await runPass({ ...at.run, faults: { afterLand } }, stream, at.book).catch(() => {
        crashes += 1
        crashed = true
      })
    }
    expect(crashes).toBe(5)
    expect(await at.stored()).toStrictEqual(expected(at.portal))
  })

  it('removes archived and erased records, keeps the alias of merged ones, brings restored ones back', async () => {
    await using at = await setUp({ sweepEveryMs: 1_000 })
    fill(at.portal, 20)
    await at.pass('companies')
    await at.pass('companies_sweep')
    const three = at.portal.of('companies').get(3)
    if (three !== undefined) three.archived = true
    await at.pass('companies_archived')
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    at.portal.of('companies').delete(7)
    if (three !== undefined) three.archived = false
    at.portal.nowMs += 5_000
    await at.pass('companies_sweep')
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    at.portal.of('companies').delete(10)
    at.portal.of('companies').delete(11)
    at.portal.put('companies', 30, { name: 'Merged', hs_merged_object_ids: '10;11' })
    await at.pass('companies')
    expect(await at.stored()).toStrictEqual(expected(at.portal))
    const { rows } = await at.db.query('select old_key, new_key from rescore.alias order by 1')
    expect(rows).toStrictEqual([
      { old_key: '10', new_key: '30' },
      { old_key: '11', new_key: '30' },
    ])
  })

  it('follows associations that no modification time tells of, through every page', async () => {
    await using at = await setUp()
    fill(at.portal, 3)
    const edges = async () =>
      (
        await at.db.query('select company_id, contact_id, type_id from hubspot.company_contacts order by 1, 2, 3')
      ).rows.map((row) => [row.company_id, row.contact_id, row.type_id].join(':'))
    at.portal.link('companies>contacts', 1, [
      [5, 279],
      [6, 279],
      [7, 279],
      [8, 1],
      [8, 279],
    ])
    at.portal.link('companies>contacts', 2, [[5, 279]])
    await at.pass('companies_associations')
    expect(await edges()).toStrictEqual(['1:5:279', '1:6:279', '1:7:279', '1:8:1', '1:8:279', '2:5:279'])
    at.portal.link('companies>contacts', 1, [[6, 279]])
    at.portal.link('companies>contacts', 2, [])
    await at.pass('companies_associations')
    expect(await edges()).toStrictEqual(['1:6:279'])
  })

  it('names a misspelt property with its near matches, and a column of the wrong type', async () => {
    const misspelt = defineTable({
      name: 'hubspot.companies',
      key: 'id',
      columns: { id: bigint().notNull(), numberofemployes: number(), name: number() },
    })
    await using at = await setUp({ companies: misspelt })
    const problems = await at.connector.check(sourceContext(at.run, at.book, 'check'))
    expect(problems.map(({ code }) => code)).toStrictEqual(['HUBSPOT_UNKNOWN_PROPERTY', 'HUBSPOT_PROPERTY_TYPE'])
    expect(problems[0]?.message).toContain("Did you mean 'numberofemployees'")
  })

  it('stops at a wrong token, without repeating it or showing it', async () => {
    await using at = await setUp({ accessToken: 'pat-wrong-secret' })
    const connector: Connector = at.connector
    const error: Error = await runConnector({ ...at.run, connector }).then(
      () => new Error('ran'),
      (thrown) => thrown,
    )
    expect(error).toMatchObject({ name: 'SourceError', code: 'HUBSPOT_UNAUTHORIZED' })
    expect(`${error.message} ${error.stack}`).not.toContain('pat-wrong-secret')
    const { rows } = await at.db.query('select stage, last_error from rescore.stage_status')
    expect(rows[0]?.stage).toBe('connect:hubspot')
    expect(JSON.stringify(rows)).not.toContain('pat-wrong-secret')
  })
})
