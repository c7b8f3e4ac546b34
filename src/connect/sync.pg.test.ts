/** Reading on demand, and what was set aside, beside a stream that goes on by itself. */
import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/support/pg.ts'
import { type FixtureRequest, startFixtureServer } from '../conformance/fixture-server.ts'
import { bigint, defineConnector, defineTable, json, rest, text, timestamp } from '../define/index.ts'
import { BudgetBook } from './budget.ts'
import type { RunConnectorOptions } from './options.ts'
import { runPass } from './pass.ts'
import { dropRejects, listRejects, replayReject } from './rejects.ts'
import { prepareConnector } from './runner.ts'
import { syncStream } from './sync.ts'

const units = defineTable({
  name: 'shop.units',
  key: 'id',
  columns: { id: bigint().notNull(), name: text().notNull(), at: timestamp(), raw: json() },
})
const DAY = 86_400_000
const T0 = Date.UTC(2026, 0, 1)

interface Unit {
  readonly id: number
  readonly name: string | null
  readonly at: number
}

async function setUp(canReadOne: boolean) {
  const database = await createTestDatabase('sync')
  const source = new Map<number, Unit>()
  for (let id = 1; id <= 6; id += 1) source.set(id, { id, name: `Unit ${id}`, at: T0 + id * DAY })
  const queries: FixtureRequest['query'][] = []
  const server = await startFixtureServer(({ path, query }) => {
    if (path === '/units') {
      queries.push(query)
      if (query.size !== undefined) {
        const after = [...source.values()].filter(({ id }) => id > Number(query.after ?? 0))
        return { body: after.slice(0, Number(query.size)) }
      }
      return { body: [...source.values()].filter(({ at }) => at >= Number(query.since ?? 0)) }
    }
    const unit = source.get(Number(path.split('/')[2]))
    return unit === undefined ? { status: 404 } : { body: unit }
  })
  const connector = defineConnector({
    name: 'shop',
    http: { baseUrl: server.url },
    budgets: [{ key: 'shop', calls: 1_000, perMs: 1_000, concurrency: 4 }],
    streams: [
      rest({
        table: units,
        list: { path: '/units', changed: { parameter: 'since', format: 'ms', lagMs: 0 } },
        ...(canReadOne ? { one: { path: (id: string) => `/units/${id}` } } : {}),
      }),
    ],
  })
  const log = { info: () => undefined, warn: () => undefined }
  const clock = { now: () => T0 + 10 * DAY }
  const run: RunConnectorOptions = { pool: database.pool, connector, signal: new AbortController().signal, clock, log }
  await prepareConnector(run)
  const [stream] = connector.streams
  if (stream === undefined) throw new Error('no stream')
  return {
    source,
    queries,
    run,
    stream,
    book: new BudgetBook(),
    names: async () =>
      (await database.query<{ name: string }>('select name from shop.units order by id')).rows.map(({ name }) => name),
    checkpoints: async () =>
      (await database.query('select stream, state, updated_at from rescore.connector_state order by 1')).rows,
    query: database.query,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await database[Symbol.asyncDispose]()
    },
  }
}

test('a dry run says what would be written and writes nothing, not even where it was', async () => {
  await using at = await setUp(true)
  expect(await syncStream(at.run, at.stream, at.book, { kind: 'next' }, true)).toEqual({ written: 6, rejected: 0 })
  expect([await at.names(), await at.checkpoints()]).toEqual([[], []])
})

test('a dry run of a listing of several pages does not take the first ones for gone', async () => {
  await using at = await setUp(true)
  await runPass(at.run, at.stream, at.book)
  at.source.set(1, { id: 1, name: 'New 1', at: T0 })
  const [paged] = defineConnector({
    name: 'shop',
    http: { baseUrl: 'http://127.0.0.1' },
    streams: [
      rest({
        table: units,
        list: { path: '/units', paging: { by: 'keyset', parameter: 'after', size: { parameter: 'size', value: 2 } } },
        sweep: { everyMs: DAY },
      }),
    ],
  }).streams
  if (paged === undefined) throw new Error('no stream')
  expect(await syncStream(at.run, paged, at.book, { kind: 'full' }, true)).toEqual({ written: 1, rejected: 0 })
})

test('all of it, what changed since a time, or some records are read without moving the checkpoint', async () => {
  await using at = await setUp(true)
  await runPass(at.run, at.stream, at.book)
  const before = await at.checkpoints()
  // Changed behind the connector's back: no later window brings these.
  for (const id of [1, 3, 6]) at.source.set(id, { id, name: `New ${id}`, at: T0 + id * DAY })
  at.source.delete(2)
  const keys = ['1', '2'].map((id) => ({ id }))
  expect(await syncStream(at.run, at.stream, at.book, { kind: 'keys', keys })).toEqual({ written: 2, rejected: 0 })
  expect(await at.names()).toEqual(['New 1', 'Unit 3', 'Unit 4', 'Unit 5', 'Unit 6'])
  at.queries.length = 0
  await syncStream(at.run, at.stream, at.book, { kind: 'since', ms: T0 + 5 * DAY })
  expect(at.queries).toEqual([{ since: String(T0 + 5 * DAY - 1) }])
  expect(await at.names()).toEqual(['New 1', 'Unit 3', 'Unit 4', 'Unit 5', 'New 6'])
  await syncStream(at.run, at.stream, at.book, { kind: 'full' })
  expect(await at.names()).toEqual(['New 1', 'New 3', 'Unit 4', 'Unit 5', 'New 6'])
  expect(await at.checkpoints()).toEqual(before)
})

test('a stream that cannot be read by key says so', async () => {
  await using at = await setUp(false)
  const keys = [{ id: '1' }]
  await expect(syncStream(at.run, at.stream, at.book, { kind: 'keys', keys })).rejects.toMatchObject({
    code: 'CONNECT_CANNOT_READ',
  })
})

test.each([
  ['read anew by its key', true],
  ['as it was kept', false],
])('a record set aside stays until it lands: %s', async (_, canReadOne) => {
  await using at = await setUp(canReadOne)
  at.source.set(3, { id: 3, name: null, at: T0 })
  await runPass(at.run, at.stream, at.book)
  const [reject] = await listRejects(at.run.pool)
  expect(reject).toMatchObject({ stream: 'units', key: '3', code: 'CONNECT_RECORD_NULL', seen: 1 })
  expect(JSON.parse(reject?.raw ?? '')).toMatchObject({ id: 3, name: null })
  if (reject === undefined) return
  expect(await replayReject(at.run, at.book, reject)).toBe(false)
  const [again] = await listRejects(at.run.pool, { ids: [reject.id] })
  expect(again).toMatchObject({ id: reject.id, seen: 2 })
  // The source is put right, or what was kept is.
  at.source.set(3, { id: 3, name: 'Unit 3', at: T0 })
  if (!canReadOne) await at.query(`update rescore.reject set raw = replace(raw, '"name":null', '"name":"Unit 3"')`)
  const [mended] = await listRejects(at.run.pool)
  expect(mended === undefined ? null : await replayReject(at.run, at.book, mended)).toBe(true)
  expect(await at.names()).toContain('Unit 3')
  expect(await listRejects(at.run.pool)).toEqual([])
})

test('dropped ones are gone', async () => {
  await using at = await setUp(true)
  at.source.set(3, { id: 3, name: null, at: T0 })
  await runPass(at.run, at.stream, at.book)
  const ids = (await listRejects(at.run.pool)).map(({ id }) => id)
  expect([await dropRejects(at.run.pool, ids), await listRejects(at.run.pool)]).toEqual([1, []])
})
