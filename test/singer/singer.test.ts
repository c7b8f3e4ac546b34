/** What a user may declare, what is secret in it, and how lines, catalogs and ends of taps are read. */
import { describe, expect, test } from 'vitest'
import { type SingerOptions, singer } from '../../connectors/singer/index.ts'
import { readCatalog, selectIn } from '../../src/connect/singer/catalog.ts'
import { tapFailure } from '../../src/connect/singer/failure.ts'
import { type Line, LinePull, linesOf } from '../../src/connect/singer/lines.ts'
import { readLine } from '../../src/connect/singer/message.ts'
import { bigint, configSecrets, defineTable, isPinned } from '../../src/define/index.ts'

const orders = defineTable({ name: 'books.orders', key: 'id', columns: { id: bigint().notNull() } })

const COMMIT = 'a'.repeat(40)

test.each([
  ['tap-foo==1.2.3', true],
  ['tap_foo[s3]==1.2.3rc1', true],
  [`tap-foo @ git+https://example.org/tap-foo.git@${COMMIT}`, true],
  [`tap-foo @ https://example.org/tap.whl#sha256=${'0'.repeat(64)}`, true],
  ['tap-foo', false],
  ['tap-foo>=1.2', false],
  ['tap-foo==1.*', false],
  ['tap-foo @ git+https://example.org/tap-foo.git@main', false],
  ['git+https://example.org/tap-foo.git', false],
  ['tap-foo==1.2.3 --index-url http://evil', false],
  ['-r requirements.txt', false],
])('%s is pinned: %s', (requirement, expected) => {
  expect(isPinned(requirement)).toBe(expected)
})

const whole: SingerOptions = {
  name: 'books',
  tap: 'tap-foo==1',
  config: {},
  streams: [{ stream: 'orders', table: orders }],
}

test.each<[string, Partial<SingerOptions>]>([
  ['a package that is not pinned', { tap: 'tap-foo' }],
  ['a second package that is not pinned', { tap: ['tap-foo==1', 'setuptools'] }],
  ['neither package nor command', { tap: [] }],
  ['both package and command', { command: ['tap-foo'] }],
  ['a name that leads out of its folder', { name: '../books' }],
  ['no stream', { streams: [] }],
  [
    'a column the table does not have',
    { streams: [{ stream: 'orders', table: orders, columns: { colour: 'color' } }] },
  ],
])('refuses %s', (_, options) => {
  expect(() => singer({ ...whole, ...options })).toThrow(TypeError)
})

test('what is secret is known by its name, and by that of what holds it', () => {
  const config = {
    api_url: 'https://books.example',
    bearer_token: 'secret-1',
    oauth: { client_secret: 'secret-2', scope: 'read' },
    credentials: { user: 'secret-3', list: ['secret-4'] },
    'api-key': 'secret-5',
    aws_secret_access_key: 'secret-6',
    primary_keys: ['updated_at'],
    author: 'Joyce',
    sqlalchemy_url: 'postgresql+psycopg://books:secret-7@db.example:5432/books',
    start_date: '2026-01-01',
  }
  expect([...configSecrets(config)].sort()).toEqual([
    'secret-1',
    'secret-2',
    'secret-3',
    'secret-4',
    'secret-5',
    'secret-6',
    'secret-7',
  ])
})

test.each([
  ['{"type":"RECORD","stream":"a","record":{"id":1}}', 'message'],
  ['{"type": "record", "stream": "a", "record": {}}', 'message'],
  ['page 1 {"type":"RECORD","stream":"a","record":{"id":1}}', 'message'],
  ['{page} {"type":"RECORD","stream":"a","record":{"id":1}}', 'message'],
  ['{"type":"RECORD","stream":"a","record":{"x":-Infinity}}', 'message'],
  ['{"type":"RECORD","stream":"a","record":{"id":1', 'broken'],
  ['{"type":"RECORD","stream":"a"}', 'broken'],
  ['{"type":"RECORD","stream":"a","rec{"type":"STATE","value":{"a":1}}', 'broken'],
  ['{"type":"LOG","message":"hello"}', 'noise'],
  ['{', 'noise'],
  ['  "type": "object",', 'noise'],
  ['Reading…', 'noise'],
  ['', 'noise'],
])('%s is a %s', (line, kind) => {
  expect(readLine(line).kind).toBe(kind)
})

test('text within a record that looks like no number is left alone', () => {
  const line = readLine('{"type":"RECORD","stream":"a","record":{"note":"NaN \\"Infinity\\"","x":NaN}}')
  expect(line).toMatchObject({ message: { record: { note: 'NaN "Infinity"', x: 'NaN' } } })
})

async function linesIn(chunks: readonly string[], maxBytes: number): Promise<readonly Line[]> {
  async function* source() {
    for (const chunk of chunks) yield Buffer.from(chunk)
  }
  const lines: Line[] = []
  for await (const some of linesOf(source(), maxBytes)) lines.push(...some)
  return lines
}

test('lines are cut right wherever the chunks are', async () => {
  const text = 'eins\r\nzwei ä🚀\n\nvier'
  const bytes = Buffer.from(text)
  for (let size = 1; size <= bytes.length; size += 1) {
    async function* source() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const lines: string[] = []
    for await (const some of linesOf(source(), 100)) lines.push(...some.map((line) => line.text))
    expect(lines).toEqual(['eins', 'zwei ä🚀', '', 'vier'])
  }
})

test('a line beyond the cap is told of by its beginning, and the next one is whole', async () => {
  const lines = await linesIn(['a'.repeat(30_000), 'b'.repeat(30_000), '\nshort\n', 'c'.repeat(10_001)], 10_000)
  expect(lines.map(({ text, tooLong }) => [text.length <= 4_096, tooLong])).toEqual([
    [true, 60_000],
    [true, undefined],
    [true, 10_001],
  ])
  expect(lines[0]?.text.startsWith('aaaa')).toBe(true)
  expect(lines[1]?.text).toBe('short')
})

test('waiting for a line that does not come loses none', async () => {
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  async function* source() {
    yield await promise
  }
  const pull = new LinePull(linesOf(source(), 100))
  expect(await pull.next(1)).toBe('idle')
  resolve(Buffer.from('late\n'))
  expect(await pull.next(60_000)).toEqual([{ text: 'late' }])
  expect(await pull.next(60_000)).toBe('end')
})

const CATALOG = JSON.stringify({
  streams: [
    {
      tap_stream_id: 'shop-orders',
      stream: 'orders',
      schema: {
        properties: {
          id: { inclusion: 'automatic' },
          big: { maximum: 1 },
          secret: { inclusion: 'unsupported' },
          note: {},
        },
      },
      metadata: [{ breadcrumb: ['properties', 'note', 'properties', 'deep'], metadata: { inclusion: 'available' } }],
    },
    { tap_stream_id: 'customers', stream: 'customers', schema: { properties: { id: {} } } },
  ],
}).replace('"maximum":1', '"maximum":9223372036854775807')

describe('choosing from a catalog', () => {
  const catalog = readCatalog(`Discovering…\n${CATALOG}`)
  if (catalog === undefined) throw new Error('no catalog')

  test('says it in both ways, leaves out what cannot be read, and keeps every digit', () => {
    const chosen = selectIn(catalog, {
      stream: 'orders',
      table: orders,
      replication: { method: 'incremental', key: 'big' },
    })
    const text = JSON.stringify(chosen)
    expect(text).toContain('"maximum":9223372036854775807')
    expect(JSON.parse(text).streams).toMatchObject([
      {
        schema: {
          selected: true,
          properties: { id: { selected: true }, secret: { selected: false }, note: { selected: true } },
        },
        replication_key: 'big',
        metadata: [
          {
            breadcrumb: [],
            metadata: { selected: true, 'replication-method': 'INCREMENTAL', 'replication-key': 'big' },
          },
          { breadcrumb: ['properties', 'note', 'properties', 'deep'], metadata: { selected: true } },
          { breadcrumb: ['properties', 'id'], metadata: { selected: true } },
          { breadcrumb: ['properties', 'big'], metadata: { selected: true } },
          { breadcrumb: ['properties', 'secret'], metadata: { selected: false } },
        ],
      },
      { schema: { selected: false } },
    ])
  })

  test('takes a parent along', () => {
    const { streams } = selectIn(catalog, { stream: 'shop-orders', table: orders, along: ['customers'] })
    expect(streams).toMatchObject([{ schema: { selected: true } }, { schema: { selected: true } }])
  })

  test.each([
    [{ stream: 'invoices' }, "no stream 'invoices'. It has: shop-orders, customers"],
    [{ stream: 'orders', select: ['colour'] }, "no property 'colour'"],
    [{ stream: 'orders', along: ['nobody'] }, "no stream 'nobody'"],
  ])('%j is refused by name', (spec, message) => {
    expect(() => selectIn(catalog, { table: orders, ...spec })).toThrow(message)
  })
})

test.each([
  [1, 'requests.exceptions.HTTPError: 401 Client Error: Unauthorized for url: https://x', 'auth'],
  [1, 'singer_sdk.exceptions.FatalAPIError: 403 Client Error: Forbidden for path: /x', 'auth'],
  [1, 'google.auth.exceptions.RefreshError: invalid_grant: Token has been expired', 'auth'],
  [2, 'tap-x: error: unrecognized arguments: --foo', 'config'],
  [
    1,
    "singer_sdk.exceptions.ConfigValidationError: Config validation failed: 'api_url' is a required property",
    'config',
  ],
  [1, "Exception: Config is missing required keys: ['token']", 'config'],
  [1, 'requests.exceptions.ConnectionError: Connection refused', 'transient'],
  [1, 'requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: https://x/401', 'transient'],
  [1, '', 'transient'],
  [-9, 'ERROR 401 Client Error: Unauthorized', 'transient'],
])('code %i after "%s" is %s', (code, words, kind) => {
  expect(tapFailure({ code, said: [words] }, 'reading').kind).toBe(kind)
})
