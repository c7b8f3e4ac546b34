/** What is recognised in documents of the shapes there are. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readDocument } from '../../src/cli/openapi/document.ts'
import { planFrom } from '../../src/cli/openapi/from-openapi.ts'

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
