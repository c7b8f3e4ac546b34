/** What the connector words refuse: each `@ts-expect-error` must not compile; the rest throws where types do not reach. */
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import {
  bigint,
  defineConnector,
  defineStream,
  defineTable,
  type Message,
  rest,
  type SyncContext,
  text,
} from './index.ts'

const table = defineTable({ name: 'acme.companies', key: 'id', columns: { id: bigint().notNull(), name: text() } })
const pairs = defineTable({
  name: 'acme.pairs',
  key: ['left_id', 'right_id'],
  columns: { left_id: bigint().notNull(), right_id: bigint().notNull() },
})
const list = { path: '/companies' } as const

describe('a stream in code', () => {
  test('is given the state its schema reads, and may only checkpoint that', () => {
    const stream = defineStream<{ at: number }>({
      name: 'companies',
      tables: [table],
      state: { version: 1, schema: z.object({ at: z.number() }) },
      everyMs: 1,
      async *sync(context) {
        expectTypeOf(context).toEqualTypeOf<SyncContext<{ at: number }>>()
        expectTypeOf(context.state).toEqualTypeOf<{ at: number } | null>()
        yield { op: 'checkpoint', state: { at: context.now() } }
      },
    })
    expectTypeOf(stream.sync).returns.toEqualTypeOf<AsyncGenerator<Message<{ at: number }>, void, void>>()
    // @ts-expect-error a state of another shape
    const wrong: Message<{ at: number }> = { op: 'checkpoint', state: { until: 1 } }
    // @ts-expect-error an operation there is not
    const unknown: Message<never> = { op: 'insert', table, row: { id: 1n } }
    // @ts-expect-error a delete says why
    const unexplained: Message<never> = { op: 'delete', table, key: { id: 1n } }
    expect([wrong, unknown, unexplained]).toHaveLength(3)
  })
})

describe('a declared stream', () => {
  test('names its paging by kind, each with what it needs', () => {
    rest({ table, list: { ...list, paging: { by: 'cursor', parameter: 'after', next: 'paging.next' } } })
    rest({ table, list: { ...list, paging: { by: 'link' } } })
    const mistakes = () => [
      // @ts-expect-error a cursor has to be found somewhere
      rest({ table, list: { ...list, paging: { by: 'cursor', parameter: 'after' } } }),
      // @ts-expect-error an offset needs to know how much a page holds
      rest({ table, list: { ...list, paging: { by: 'offset', parameter: 'offset' } } }),
      // @ts-expect-error no such kind
      rest({ table, list: { ...list, paging: { by: 'magic' } } }),
    ]
    expect(mistakes).toThrow(TypeError)
  })

  test.each([
    ['nothing to read', () => rest({ table }), /list, feed or lookup/],
    [
      'a feed that nothing reads the records of',
      () => rest({ table, feed: { path: '/changes', query: () => ({}), id: 'id', position: 'at' } }),
      /one or many/,
    ],
    ['ids that nothing reads', () => rest({ table, list: { ...list, idsOnly: true } }), /one or many/],
    [
      'a column there is not',
      () => rest({ table, list, columns: { nmae: 'name' } }),
      /'acme\.companies' has no column 'nmae'/,
    ],
    [
      'records read by an id where the key has two columns',
      () => rest({ table: pairs, list, one: { path: (id) => `/pairs/${id}` } }),
      /exactly one key column/,
    ],
    [
      'offset pages of one record, which cannot overlap',
      () =>
        rest({
          table,
          list: { ...list, paging: { by: 'offset', parameter: 'o', size: { parameter: 'n', value: 1 } } },
        }),
      /two at least/,
    ],
    [
      'a lookup beside a list',
      () => rest({ table, list, lookup: { table, column: 'name', path: (key) => `/${key}`, freshMs: 1 } }),
      /stream of its own/,
    ],
    [
      'a sweep without a list',
      () => rest({ table, lookup: { table, column: 'name', path: String, freshMs: 1 }, sweep: { everyMs: 1 } }),
      /declare list/,
    ],
  ])('refuses %s', (_, declare, message) => {
    expect(declare).toThrow(message)
  })
})

describe('a connector', () => {
  test('has a credential, a budget and a check without being told', async () => {
    const asked: string[] = []
    const connector = defineConnector({
      name: 'acme',
      http: { baseUrl: 'https://acme.example' },
      streams: [rest({ table, list })],
    })
    expect(connector).toMatchObject({ credential: 'acme', budgets: [{ key: 'acme' }] })
    const answer = { status: 200, headers: {}, text: '[]', body: [], etag: undefined, nextLink: undefined }
    const problems = await connector.check({
      now: () => 0,
      random: () => 0,
      signal: new AbortController().signal,
      log: { info: () => undefined, warn: () => undefined },
      conceal: () => undefined,
      call: () => Promise.reject(new Error('not asked for')),
      http: async ({ path }) => {
        asked.push(path)
        return answer
      },
      open: () => Promise.reject(new Error('not asked for')),
    })
    expect([problems, asked]).toEqual([[], ['/companies']])
  })

  test.each([
    [
      'two streams of one name',
      { http: { baseUrl: 'https://a.example' }, streams: [rest({ table, list }), rest({ table, list })] },
    ],
    ['a declared stream without http settings', { streams: [rest({ table, list })] }],
  ])('refuses %s', (_, spec) => {
    expect(() => defineConnector({ name: 'acme', ...spec })).toThrow(TypeError)
  })
})
