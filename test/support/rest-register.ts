/** A small register over HTTP, read by a connector under test into a database of its own; the clock is the test's. */
import { type FixtureAnswer, type FixtureRequest, startFixtureServer } from '../../src/conformance/fixture-server.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import type { RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { streamOf } from '../../src/connect/streams.ts'
import {
  bigint,
  type Connector,
  defineConnector,
  defineTable,
  json,
  type RestSpec,
  rest,
  text,
} from '../../src/define/index.ts'
import { createTestDatabase } from './pg.ts'

export const units = defineTable({
  name: 'reg.units',
  key: 'nr',
  columns: { nr: bigint().notNull(), name: text(), raw: json() },
})
export const domains = defineTable({
  name: 'reg.domains',
  key: 'domain',
  columns: { domain: text().notNull(), since: text() },
})
export const crm = defineTable({ name: 'reg.crm', key: 'id', columns: { id: bigint().notNull(), website: text() } })

export async function openRegister(spec: RestSpec, answer: (request: FixtureRequest) => FixtureAnswer) {
  const database = await createTestDatabase('rest')
  const calls: string[] = []
  const server = await startFixtureServer((request) => {
    calls.push(`${request.path}${request.headers['if-none-match'] === undefined ? '' : ' if changed'}`)
    return answer(request)
  })
  let now = Date.UTC(2026, 0, 1)
  const connector: Connector = defineConnector({
    name: 'reg',
    http: { baseUrl: server.url },
    budgets: [{ key: 'reg', calls: 1_000, perMs: 1_000, concurrency: 4 }],
    streams: [rest(spec)],
  })
  const log = { info: () => undefined, warn: () => undefined }
  const clock = { now: () => now }
  const run: RunConnectorOptions = { pool: database.pool, connector, signal: new AbortController().signal, log, clock }
  await prepareConnector(run)
  const [stream] = connector.streams
  if (stream === undefined) throw new Error('no stream')
  const book = new BudgetBook()
  const rows = async (sql: string) => (await database.query(sql)).rows
  return {
    rows,
    run,
    stream: streamOf(stream),
    book,
    pass: async () => {
      calls.length = 0
      await runPass(run, stream, book)
      return [...calls]
    },
    advance: (ms: number) => {
      now += ms
    },
    query: database.query,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}
