/** What the sources of web data do beyond the kit: what costs nothing, what is put off, what is joined by number. */
import { expect, test } from 'vitest'
import { brreg, registerNumberOf } from '../../connectors/brreg/index.ts'
import { github } from '../../connectors/github/index.ts'
import { rdap } from '../../connectors/rdap/index.ts'
import { tranco } from '../../connectors/tranco/index.ts'
import {
  type FixtureAnswer,
  type FixtureRequest,
  type KitClock,
  startFixtureServer,
} from '../../src/conformance/index.ts'
import { jumpingBudgets } from '../../src/conformance/jumping.ts'
import type { RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { sleep } from '../../src/db/backoff.ts'
import { bigint, type Connector, defineTable, text } from '../../src/define/index.ts'
import { createTestDatabase } from '../support/pg.ts'
import { Register } from './brreg-register.ts'
import { CrmDomains } from './crm-domains.ts'
import { Organisations } from './github.ts'
import { Registries } from './rdap.ts'
import { LENGTH, Lists } from './tranco.ts'

const HOUR_MS = 3_600_000

async function setUp(
  source: { readonly clock: KitClock; answer(request: FixtureRequest): FixtureAnswer },
  connectorOf: (url: string) => Connector,
  domains: readonly string[] = [],
) {
  const database = await createTestDatabase('webdata')
  const server = await startFixtureServer((request) => source.answer(request))
  const connector = connectorOf(server.url)
  const book = jumpingBudgets(source.clock)
  const run: RunConnectorOptions = {
    pool: database.pool,
    connector,
    signal: new AbortController().signal,
    log: { info: () => undefined, warn: () => undefined },
    clock: source.clock,
    budgets: book,
    waiting: {
      sleep: async (ms, signal) => {
        await sleep(0, signal)
        source.clock.advance(Math.ceil(ms))
      },
      random: () => 0.5,
    },
  }
  await prepareConnector(run)
  const crm = new CrmDomains()
  await crm.prepare(database.pool, domains)
  return {
    crm,
    query: async (sql: string) => (await database.query(sql)).rows,
    pass: async () => {
      for (const stream of connector.streams) await runPass(run, stream, book)
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

test('GitHub: what has not changed costs nothing of the hour, so a small allowance is enough to look again', async () => {
  const source = new Organisations('token', 30)
  const options = { token: 'token', freshMs: HOUR_MS, callsPerHour: 70 }
  await using at = await setUp(source, (url) => github({ ...options, baseUrl: url }), source.asked)
  await at.pass()
  const first = source.counted
  expect(first).toBeGreaterThan(60)
  source.clock.advance(2 * HOUR_MS)
  const started = source.clock.now()
  await at.pass()
  // 61 are answered by 304; only those that are not there count.
  expect([source.unchanged, source.counted - first]).toEqual([61, 1])
  source.clock.advance(HOUR_MS - (source.clock.now() - started) + 1)
  source.change(1)
  await at.pass()
  expect(source.counted - first).toBe(4)
})

test('GitHub: the allowance GitHub tells of is kept to, though the connector was given a larger one', async () => {
  const source = new Organisations('token', 30, { limit: 20 })
  let refused = 0
  const answer = (request: FixtureRequest) => {
    const given = source.answer(request)
    if (given.status === 403) refused += 1
    return given
  }
  await using at = await setUp(
    { clock: source.clock, answer },
    (url) => github({ token: 'token', baseUrl: url }),
    source.asked,
  )
  const started = source.clock.now()
  await at.pass()
  expect((await at.query('select from github.activity')).length).toBe(30)
  // Sixty calls at twenty an hour; calls in flight when the last one was spent may be refused once.
  expect(source.clock.now() - started).toBeGreaterThan(2 * HOUR_MS)
  expect(refused).toBeLessThanOrEqual(12)
})

test('RDAP: a registry that wants to be left alone for a day puts off its own domains, and nobody else’s', async () => {
  const source = new Registries(30)
  let asked = 0
  let isClosed = true
  const answer = (request: FixtureRequest): FixtureAnswer => {
    if (!isClosed || !request.path.startsWith('/no/')) return source.answer(request)
    asked += 1
    return { status: 429, headers: { 'retry-after': '86400' } }
  }
  await using at = await setUp({ clock: source.clock, answer }, (url) => rdap({ baseUrl: url }), [
    ...source.asked.keys(),
  ])
  const started = source.clock.now()
  await at.pass()
  const registered = async () =>
    (await at.query("select registered_name from rdap.domains where outcome = 'registered'")).length
  expect([asked, await registered()]).toEqual([2, 20])
  expect(source.clock.now() - started).toBeLessThan(HOUR_MS)
  await at.pass()
  expect(asked).toBe(2)
  isClosed = false
  source.clock.advance(25 * HOUR_MS)
  await at.pass()
  expect(await registered()).toBe(30)
})

test('RDAP: nothing of persons is kept', async () => {
  const source = new Registries(3)
  await using at = await setUp(source, (url) => rdap({ baseUrl: url }), [...source.asked.keys()])
  await at.pass()
  const rows = await at.query('select d::text as text from rdap.domains d')
  expect(rows.length).toBe(5)
  expect(rows.filter(({ text }) => String(text).includes('Nordmann'))).toEqual([])
})

test('Tranco: the list of a day is fetched once, and once more only for domains that are new', async () => {
  const source = new Lists(20)
  await using at = await setUp(source, (url) => tranco({ baseUrl: url, length: LENGTH, freshMs: HOUR_MS }), [
    ...source.asked.keys(),
  ])
  await at.pass()
  source.clock.advance(2 * HOUR_MS)
  await at.pass()
  await at.pass()
  expect(source.downloads).toHaveLength(1)
  await at.crm.add(source.make(1))
  await at.pass()
  expect(source.downloads).toHaveLength(1)
  source.clock.advance(900_000)
  await at.pass()
  expect(source.downloads).toHaveLength(2)
  source.clock.advance(24 * HOUR_MS)
  const before = await at.query('select ctid, * from tranco.ranks order by 2')
  source.change()
  await at.pass()
  const after = await at.query('select ctid, * from tranco.ranks order by 2')
  expect(source.downloads).toHaveLength(3)
  // site4 is in no list, on either day: its row stands as it was.
  const fourth = (rows: typeof before) => rows.filter(({ domain }) => domain === 'site4.example')
  expect(fourth(after)).toEqual(fourth(before))
  expect(after).not.toEqual(before)
})

test('brreg: a company is joined to its unit by the register number the CRM states', async () => {
  const source = new Register(4)
  const companies = defineTable({
    name: 'crm.companies',
    key: 'id',
    columns: { id: bigint().notNull(), orgnr: text() },
  })
  await using at = await setUp(source, (url) =>
    brreg({ baseUrl: url, companies: { table: companies, column: 'orgnr' } }),
  ).then(async (made) => {
    await made.query('create schema crm; create table crm.companies (id bigint primary key, orgnr text)')
    return made
  })
  const [unit] = source.live().filter(({ kind }) => kind === 'enheter')
  await at.query(
    `insert into crm.companies values (1, 'NO ${unit?.number.replace(/(...)(?=.)/g, '$1 ')} MVA'), (2, 'none')`,
  )
  await at.pass()
  expect(await at.query(`select company_id, name from brreg.company_numbers join brreg.units using (number)`)).toEqual([
    { company_id: 1n, name: unit?.name },
  ])
})

test.each([
  ['923609016', '923609016'],
  ['923 609 016', '923609016'],
  ['NO923609016MVA', '923609016'],
  ['92360901', null],
  ['SE556016068001', null],
  [null, null],
])('%j is the register number %j', (stated, number) => {
  expect(registerNumberOf(stated)).toBe(number)
})
