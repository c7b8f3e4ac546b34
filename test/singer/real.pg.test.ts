/**
 * Taps of others, as PyPI has them, against fixture servers and a PostgreSQL: an SDK tap over HTTP, one of the first ever
 * written (no discovery, no catalog), and one that reads a database. Their environments stay in ~/.cache/rescore/singer.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type SingerOptions, singer } from '../../connectors/singer/index.ts'
import { startFixtureServer } from '../../src/conformance/index.ts'
import { BudgetBook } from '../../src/connect/budget.ts'
import { checkConnector } from '../../src/connect/check.ts'
import { sourceContext } from '../../src/connect/context.ts'
import { redactorOf } from '../../src/connect/http/redact.ts'
import { isSourceError, type RunConnectorOptions } from '../../src/connect/options.ts'
import { runPass } from '../../src/connect/pass.ts'
import { prepareConnector } from '../../src/connect/runner.ts'
import { bigint, decimal, defineTable, json, number, text, timestamp } from '../../src/define/index.ts'
import { asError } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { whyNoPython } from './python.ts'

/** A first installation takes its time. */
const timeout = 400_000

type Skip = (note: string) => never
type Options = Omit<SingerOptions, 'folder'>

interface Place extends AsyncDisposable {
  readonly database: TestDatabase
  /** @throws what the pass threw, cleaned of secrets */
  pass(options: Options): Promise<void>
  rows(query: string): Promise<readonly unknown[]>
}

async function openPlace(): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-tap-'))
  const database = await createTestDatabase('tap')
  return {
    database,
    async pass(options) {
      const connector = singer({ ...options, folder: join(folder, options.name) })
      const log = { info: () => undefined, warn: () => undefined }
      const run: RunConnectorOptions = { pool: database.pool, connector, signal: new AbortController().signal, log }
      await prepareConnector(run)
      for (const stream of connector.streams) {
        await runPass(run, stream, new BudgetBook()).catch((thrown: unknown) => {
          throw redactorOf(connector).error(asError(thrown))
        })
      }
    },
    rows: async (query) => (await database.query(query)).rows,
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Installs the tap; where the package index cannot be reached the test is skipped, with the reason. */
async function install(options: Options, skip: Skip): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'rescore-tap-'))
  try {
    const connector = singer({ ...options, folder })
    const log = { info: () => undefined, warn: () => undefined }
    const signal = new AbortController().signal
    await checkConnector(connector, sourceContext({ connector, signal, log }, new BudgetBook(), 'check'))
  } catch (error) {
    if (isSourceError(error) && error.code === 'CONNECT_TAP_INSTALL' && error.kind === 'transient') skip(error.message)
    throw error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const books = defineTable({
  name: 'shop.books',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    title: text(),
    price: decimal(),
    author: text(),
    updated_at: timestamp(),
    raw: json(),
  },
})

describe.skipIf(whyNoPython !== undefined)('from PyPI', () => {
  test('tap-rest-api-msdk reads an API, and only what is new the next time', { timeout }, async ({ skip }) => {
    const all = [
      '{"id":9007199254740993,"title":"Ulysses","price":12.10,"updated_at":"2026-01-02T00:00:00Z","author":{"name":"Joyce"},"tags":["a"]}',
      '{"id":2,"title":"Emma 🚀","price":3,"updated_at":"2026-01-01T00:00:00Z","author":{"name":"Austen"},"tags":[]}',
    ]
    const asked: Readonly<Record<string, string>>[] = []
    await using server = await startFixtureServer(({ query, headers }) => {
      if (headers.authorization !== 'Bearer books-secret-1') return { status: 401, body: { message: 'Unauthorized' } }
      asked.push(query)
      return { body: `{"results":[${all.join(',')}]}` }
    })
    const options = (token: string): Options => ({
      name: 'books',
      tap: 'tap-rest-api-msdk==1.4.2',
      config: {
        api_url: server.url,
        auth_method: 'bearer_token',
        bearer_token: token,
        streams: [
          {
            name: 'books',
            path: '/books',
            records_path: '$.results[*]',
            primary_keys: ['id'],
            replication_key: 'updated_at',
            source_search_field: 'since',
            source_search_query: '$last_run_date',
          },
        ],
      },
      streams: [{ stream: 'books', table: books, columns: { author: 'author_name' } }],
    })
    await install(options('books-secret-1'), skip)
    await using place = await openPlace()
    await place.pass(options('books-secret-1'))
    const read = 'select id::text, title, price::text, author, raw from shop.books order by title'
    expect(await place.rows(read)).toEqual([
      { id: '2', title: 'Emma 🚀', price: '3', author: 'Austen', raw: { tags: '[]' } },
      { id: '9007199254740993', title: 'Ulysses', price: '12.1', author: 'Joyce', raw: { tags: '["a"]' } },
    ])
    all.push('{"id":3,"title":"Persuasion","price":4,"updated_at":"2026-01-03T00:00:00Z","author":{"name":"Austen"}}')
    asked.length = 0
    await place.pass(options('books-secret-1'))
    expect(await place.rows('select id from shop.books')).toHaveLength(3)
    expect(asked.some(({ since }) => since?.startsWith('2026-01-02') === true)).toBe(true)
    await expect(place.pass(options('another-token'))).rejects.toMatchObject({ kind: 'auth' })
  })

  test('tap-exchangeratesapi, which knows neither discovery nor catalog', { timeout }, async ({ skip }) => {
    const asked: string[] = []
    await using server = await startFixtureServer(({ path }) => {
      asked.push(path)
      return { body: { base: 'USD', date: path.slice(1), rates: { EUR: 0.861234567890123, NOK: 10.25 } } }
    })
    const rates = defineTable({
      name: 'bank.rates',
      key: 'date',
      columns: { date: timestamp().notNull(), EUR: number(), raw: json() },
    })
    const day = (back: number) => new Date(Date.now() - back * 86_400_000).toISOString().slice(0, 10)
    const options: Options = {
      name: 'rates',
      tap: 'tap-exchangeratesapi==0.1.1',
      config: { base: 'USD', start_date: day(2) },
      env: { PYTHONPATH: resolve(import.meta.dirname, 'taps/at_fixture'), RATES_URL: server.url },
      streams: [{ stream: 'exchange_rate', table: rates, replication: { method: 'incremental' } }],
    }
    await install(options, skip)
    await using place = await openPlace()
    await place.pass(options)
    const found = await place.rows('select date::text, "EUR"::text as eur, raw from bank.rates order by date')
    expect(found.slice(0, 2)).toEqual([
      { date: `${day(2)} 00:00:00+00`, eur: '0.861234567890123', raw: { NOK: 10.25, USD: 1 } },
      { date: `${day(1)} 00:00:00+00`, eur: '0.861234567890123', raw: { NOK: 10.25, USD: 1 } },
    ])
    asked.length = 0
    await place.pass(options)
    expect(asked[0]).not.toBe(`/${day(2)}`)
  })

  test('meltanolabs-tap-postgres copies a table, digits and deletes included', { timeout }, async ({ skip }) => {
    await using place = await openPlace()
    await place.database.query(`
      create table public.invoices (id bigint primary key, total numeric(40, 12), note text, at timestamptz not null);
      insert into public.invoices values
        (9007199254740993, 12345678901234567890.123456789012, 'first', '2026-01-01T00:00:00.123456Z'),
        (2, 0.1, null, '2026-01-02T00:00:00Z'), (3, -5, 'third', '2026-01-03T00:00:00Z')`)
    const invoices = defineTable({
      name: 'shop.invoices',
      key: 'id',
      columns: { id: bigint().notNull(), total: decimal(), note: text(), at: timestamp() },
    })
    const { password, hostname, port, username } = new URL(place.database.url)
    const options = (method: 'full-table' | 'incremental', name: string): Options => ({
      name,
      tap: 'meltanolabs-tap-postgres==0.10.0',
      config: {
        host: hostname,
        port: Number(port),
        user: username,
        password,
        database: place.database.name,
        filter_schemas: ['public'],
      },
      streams: [
        {
          stream: 'public-invoices',
          table: invoices,
          replication: { method, ...(method === 'incremental' ? { key: 'at' } : {}) },
        },
      ],
    })
    await install(options('full-table', 'ledger'), skip)
    const read = 'select id::text, total::text, note, at::text from shop.invoices order by note nulls last'
    await place.pass(options('full-table', 'ledger'))
    expect(await place.rows(read)).toEqual([
      {
        id: '9007199254740993',
        total: '12345678901234567890.123456789012',
        note: 'first',
        at: '2026-01-01 00:00:00.123456+00',
      },
      { id: '3', total: '-5', note: 'third', at: '2026-01-03 00:00:00+00' },
      { id: '2', total: '0.1', note: null, at: '2026-01-02 00:00:00+00' },
    ])
    await place.database.query('delete from public.invoices where id = 2')
    await place.pass(options('full-table', 'ledger'))
    expect(await place.rows('select id::text from shop.invoices order by id')).toEqual([
      { id: '3' },
      { id: '9007199254740993' },
    ])
    await place.pass(options('incremental', 'ledger2'))
    await place.database.query("insert into public.invoices values (4, 1, 'fourth', '2026-01-04T00:00:00Z')")
    await place.database.query('delete from public.invoices where id = 3')
    await place.pass(options('incremental', 'ledger2'))
    // What an incremental read does not see is left.
    expect(await place.rows('select id::text from shop.invoices order by id')).toEqual([
      { id: '3' },
      { id: '4' },
      { id: '9007199254740993' },
    ])
  })
})
