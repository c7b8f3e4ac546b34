/** `rescore connector new` from documents of the shapes there are: what is written type checks, passes the linter, and says what it guessed. */
import { once } from 'node:events'
import { open, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { MOST_BYTES, readDocument } from '../../src/cli/openapi/document.ts'
import { planFrom } from '../../src/cli/openapi/from-openapi.ts'
import { createProject, lint, typeCheck } from './project.ts'

const sample = (file: string) => join(import.meta.dirname, file)
const never = new AbortController().signal

async function planOf(file: string, ...wanted: string[]) {
  return planFrom(await readDocument(sample(file), never), 'acme', wanted)
}

test.each([
  [
    'tasks.yaml',
    [
      {
        table: 'tasks',
        key: 'gid',
        items: ['data'],
        paging: {
          by: 'cursor',
          parameter: 'offset',
          next: ['next_page', 'offset'],
          size: { parameter: 'limit', value: 100 },
        },
        changed: { parameter: 'modified_since', format: 'iso', newerBy: 'modified_at' },
        one: { item: ['data'] },
      },
    ],
  ],
  [
    'repositories.json',
    [
      {
        table: 'repositories',
        key: 'id',
        items: [],
        paging: { by: 'link', next: null, size: { parameter: 'per_page', value: 30 } },
        changed: undefined,
        one: undefined,
      },
    ],
  ],
  [
    'people.yaml',
    [
      {
        table: 'people',
        key: 'id',
        items: ['data'],
        paging: { by: 'link', next: ['links', 'next'], size: { parameter: 'page[size]', value: 50 } },
        changed: { parameter: 'filter[updated_since]', format: 'ms', newerBy: 'lastModified' },
        tombstone: { column: 'is_deleted' },
      },
    ],
  ],
  [
    'accounts.yaml',
    [
      {
        table: 'accounts',
        key: 'accountId',
        items: ['value'],
        query: [['tenant', { text: 'main' }]],
        paging: { by: 'link', next: ['@odata.nextLink'] },
      },
    ],
  ],
  [
    'invoices.yaml',
    [
      {
        table: 'credit_notes',
        key: 'creditNoteNumber',
        items: ['result', 'items'],
        paging: { by: 'offset', parameter: 'skip', size: { parameter: 'take', value: 25 } },
        changed: { parameter: 'updatedAfter', format: 'date', newerBy: undefined },
      },
      { table: 'invoices', key: 'id', paging: { by: 'keyset', parameter: 'starting_after' } },
      {
        table: 'customers',
        key: 'uuid',
        paging: { by: 'page', parameter: 'page', first: 0 },
        tombstone: { column: 'deleted_at' },
      },
    ],
  ],
])('%s: lists, keys, paging, changes and tombstones are recognised', async (file, streams) => {
  expect((await planOf(file)).streams).toMatchObject(streams)
})

test('columns have the types of the schema, what is composed included', async () => {
  const kinds = async (file: string) =>
    Object.fromEntries((await planOf(file)).streams[0]?.fields.map(({ column, kind }) => [column, kind]) ?? [])
  expect(await kinds('tasks.yaml')).toEqual({
    gid: 'text',
    resource_type: 'text',
    name: 'text',
    completed: 'boolean',
    due_on: 'date',
    modified_at: 'timestamp',
  })
  expect(await kinds('people.yaml')).toEqual({
    id: 'text',
    type: 'text',
    name: 'text',
    salary: 'decimal',
    lastModified: 'timestamp',
    is_deleted: 'boolean',
  })
  expect(await kinds('accounts.yaml')).toEqual({ accountId: 'bigint', displayName: 'text', balance: 'number' })
})

test('the base address and the way to sign in come from the document', async () => {
  const found = await Promise.all(
    ['tasks.yaml', 'repositories.json', 'people.yaml', 'accounts.yaml', 'invoices.yaml'].map((file) => planOf(file)),
  )
  expect(found.map(({ baseUrl, access }) => [baseUrl, access])).toEqual([
    ['https://app.tasks.test/api/1.0', { kind: 'bearer' }],
    ['https://api.repositories.test/v3', { kind: 'header', name: 'X-Api-Key' }],
    [null, { kind: 'none' }],
    [
      'https://api.accounts.test',
      { kind: 'oauth', tokenUrl: 'https://login.accounts.test/token', grant: 'client-credentials' },
    ],
    ['https://api.invoices.test/v1', { kind: 'basic' }],
  ])
})

test('a list whose path needs a value is left out, and taken with an option when it is named', async () => {
  expect((await planOf('tasks.yaml')).leftOut).toContainEqual(['/projects/{project_gid}/sections', 'it needs a value'])
  const named = await planOf('tasks.yaml', '/projects/{project_gid}/sections')
  expect(named.options).toMatchObject([{ name: 'projectGid' }])
  expect(named.streams).toMatchObject([
    { table: 'sections', path: [{ text: '/projects/' }, { option: 'projectGid' }, { text: '/sections' }] },
  ])
})

test('what is written type checks and passes the formatter and the linter of this project', async () => {
  await using project = await createProject()
  const documents = (await readdir(import.meta.dirname)).filter((file) => /\.(ya?ml|json)$/.test(file))
  expect(documents.length).toBeGreaterThan(4)
  for (const file of documents) {
    const { code, output } = await project.begin(`from-${file.split('.')[0]}`, '--from', sample(file))
    expect([code, output]).toEqual([null, expect.stringContaining('rescore connector test')])
  }
  await project.begin(
    'with-options',
    '--from',
    sample('tasks.yaml'),
    '--path',
    '/projects/{project_gid}/sections',
    '/tasks',
  )
  // A name that is also a word of the language and one of the SDK.
  await project.begin('new', '--blank')
  await project.begin('text', '--blank')
  await lint(project.folder)
  await typeCheck(project.folder)
}, 120_000)

test('names of a document never become code', async () => {
  await using project = await createProject()
  await project.begin('acme', '--from', sample('repositories.json'))
  const source = await readFile(join(project.folder, 'connectors/acme.ts'), 'utf8')
  expect(source).toContain(`'it\\'s a "name" */ with \${quotes}': text(),`)
  expect(source).not.toContain('__proto__')
})

test('the notes say what was guessed, what cannot be known and what was left out', async () => {
  await using project = await createProject()
  await project.begin('acme', '--from', sample('invoices.yaml'))
  const notes = await readFile(join(project.folder, 'connectors/acme.notes.md'), 'utf8')
  for (const part of [
    'Its key is `creditNoteNumber`',
    '`limit` is 100',
    '`budgets` is a guess',
    '`/events`: no field of its records was recognised',
  ]) {
    expect(notes).toContain(part)
  }
})

test('nothing is written over, not even in part', async () => {
  await using project = await createProject()
  await project.begin('acme', '--blank')
  const before = await readdir(project.folder, { recursive: true })
  await writeFile(join(project.folder, 'connectors/acme.ts'), 'mine')
  const { code, output } = await project.begin('acme', '--from', sample('tasks.yaml'))
  expect([code, output]).toEqual([1, expect.stringContaining('CLI_EXISTS')])
  expect(await readdir(project.folder, { recursive: true })).toEqual(before)
  expect(await readFile(join(project.folder, 'connectors/acme.ts'), 'utf8')).toBe('mine')
})

test.each([
  ['neither document nor --blank', ['acme']],
  ['both', ['acme', '--blank', '--from', 'x.json']],
  ['a name that is no schema', ['Acme CRM', '--blank']],
  ['a name whose schema is taken', ['rescore', '--blank']],
])('%s is a mistake of usage', async (_, args) => {
  await using project = await createProject()
  expect(await project.begin(...args)).toMatchObject({ code: 2, output: expect.stringContaining('CLI_USAGE') })
})

test.each([
  ['prose', 'Dear reader, this is not a document.', 'CLI_OPENAPI_UNSUPPORTED'],
  ['a page', '<!doctype html><title>API</title>', 'CLI_OPENAPI_UNREADABLE'],
  ['cut JSON', '{"openapi": "3.0.0", "paths": {', 'CLI_OPENAPI_UNREADABLE'],
  ['YAML that is none', 'a: [1, 2\nb: }', 'CLI_OPENAPI_UNREADABLE'],
  ['nothing', '', 'CLI_OPENAPI_UNSUPPORTED'],
  ['Swagger 2', '{"swagger": "2.0", "paths": {}}', 'CLI_OPENAPI_UNSUPPORTED'],
  [
    'no lists',
    '{"openapi": "3.1.0", "paths": {"/ping": {"get": {"responses": {"200": {"description": "pong"}}}}}}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
  [
    'references in a circle',
    '{"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}}}}}}, "components": {"schemas": {"A": {"allOf": [{"$ref": "#/components/schemas/B"}]}, "B": {"oneOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/components/schemas/B"}]}}}}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
  [
    'nonsense where objects are meant',
    '{"openapi": "3.0.0", "paths": {"/a": 7, "/b": {"get": []}, "c": null}, "servers": "x", "components": []}',
    'CLI_OPENAPI_UNSUPPORTED',
  ],
])('%s is refused, and nothing is written', async (_, text, code) => {
  await using project = await createProject()
  const file = join(project.folder, 'given')
  await writeFile(file, text)
  expect(await project.begin('acme', '--from', file)).toMatchObject({ code: 1, output: expect.stringContaining(code) })
  expect(await readdir(project.folder)).not.toContain('connectors')
})

test('aliases that grow without end are refused', async () => {
  await using project = await createProject()
  const grows = 'abcdefghi'.split('').map(
    (name, at, all) =>
      `${name}: &${name} [${Array(9)
        .fill(at === 0 ? 'x' : `*${all[at - 1]}`)
        .join(', ')}]`,
  )
  const file = join(project.folder, 'given.yaml')
  await writeFile(file, grows.join('\n'))
  expect((await project.begin('acme', '--from', file)).output).toContain('CLI_OPENAPI_UNREADABLE')
})

async function serve(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

test('a document is fetched, redirects are followed, and a relative server is that of its address', async () => {
  const text = await readFile(sample('people.yaml'), 'utf8')
  await using server = await serve((request, response) => {
    if (request.url === '/docs/latest') response.writeHead(302, { location: '/docs/people.yaml' }).end()
    else response.end(text)
  })
  const plan = planFrom(await readDocument(`${server.url}/docs/latest`, never), 'acme', [])
  expect(plan).toMatchObject({ baseUrl: `${server.url}/v2`, from: `${server.url}/docs/latest` })
})

test('50 MB are refused before they are read, from a file and from an address', async () => {
  await using project = await createProject()
  const file = join(project.folder, 'large.json')
  {
    await using handle = await open(file, 'w')
    await handle.truncate(50 * 1024 * 1024)
  }
  let sent = 0
  await using server = await serve((_, response) => {
    const more = () => {
      while (sent < 50 * 1024 * 1024 && !response.destroyed) {
        sent += 65_536
        if (!response.write(' '.repeat(65_536))) break
      }
      if (sent < 50 * 1024 * 1024) response.once('drain', more)
      else response.end()
    }
    more()
  })
  for (const from of [file, server.url]) {
    expect(await project.begin('acme', '--from', from)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/CLI_OPENAPI_UNREADABLE.*larger than 24 MB/),
    })
  }
  expect(sent).toBeLessThan(MOST_BYTES * 1.5)
})

test.each([404, 500])('an address that answers %i is told of, as is one where nobody answers', async (status) => {
  await using project = await createProject()
  let url = ''
  {
    await using server = await serve((_, response) => response.writeHead(status).end('no'))
    url = server.url
    const { output } = await project.begin('acme', '--from', url)
    expect(output).toMatch(new RegExp(`CLI_OPENAPI_UNREADABLE.*${status}`))
  }
  expect((await project.begin('acme', '--from', url)).output).toMatch(/CLI_OPENAPI_UNREADABLE.*ECONNREFUSED/)
  expect((await project.begin('acme', '--from', '/nowhere.json')).output).toMatch(/CLI_OPENAPI_UNREADABLE.*ENOENT/)
})
