/** Data sets against a past written row by row, read back as a trainer would. */
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { asyncBufferFromFile, parquetMetadataAsync } from 'hyparquet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deployed, makeIn, quiet, rowsIn, temporaryFolder } from '../../test/support/datasets.ts'
import { type PastRow, writePast } from '../../test/support/past.ts'
import type { TestDatabase } from '../../test/support/pg.ts'
import { formatInstant } from '../history/instant.ts'
import { diffDatasets } from './diff.ts'
import { datasetsNotErased, listDatasets } from './registry.ts'
import { verifyDataset } from './verify.ts'

let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const make = (database: TestDatabase, asked: Parameters<typeof makeIn>[2], to?: string, until?: AbortSignal) =>
  makeIn(database, folder, asked, to, until)

const timeOf = (value: unknown) => (typeof value === 'bigint' ? formatInstant(value).slice(0, 26) : value)

const PAST: readonly PastRow[] = [
  { key: '1', op: 'insert', validAt: '2024-01-01', to: { amount: 0.1, visits: 1, is_partner: true, colour: null } },
  { key: '2', op: 'insert', validAt: '2024-01-01', to: { amount: -5, visits: 20, is_partner: false, colour: 2 } },
  { key: '1', op: 'update', validAt: '2024-02-01', to: { visits: 2 } },
  // Corrected in April for January: nobody knew before.
  { key: '1', op: 'update', validAt: '2024-01-10', recordedAt: '2024-04-01', to: { visits: 99 } },
  { key: '2', op: 'delete', validAt: '2024-03-01' },
  // Its beginning was deleted, and visits were a text then.
  { key: '4', op: 'update', validAt: '2024-03-01', to: { visits: 'many', colour: 4 } },
]

test('each row gets what was known at its own time, typed, and its other columns as they were', async () => {
  await using database = await deployed('dataset', PAST)
  const list = [
    'label,shop,seen,note',
    'yes,1,2024-03-15,"a, ""b"""',
    'no,1,2024-01-31T23:59:59.999999Z,',
    'yes,1,2024-04-01,late',
    'no,002,2024-02-29 23:59,ø',
    'no,2,2024-03-01,gone',
    'no,77,2024-05-01,never',
    'no,4,2024-05-01,cut',
    'yes,1,soon,x',
    'yes,one,2024-01-01,x',
    'yes,1,2999-01-01,x',
    'yes,1',
  ].join('\n')
  const made = await make(database, { name: 'known', list })
  const rows = await rowsIn(made)
  expect(
    rows.map((row) => [row.shop, timeOf(row.seen), row.label, row.note, row.visits, timeOf(row._recorded_at)]),
  ).toEqual([
    [1, '2024-03-15T00:00:00.000000', 'yes', 'a, "b"', 2n, '2024-02-01T00:00:00.000000'],
    [1, '2024-01-31T23:59:59.999999', 'no', '', 1n, '2024-01-01T00:00:00.000000'],
    [1, '2024-04-01T00:00:00.000000', 'yes', 'late', 99n, '2024-04-01T00:00:00.000000'],
    [2, '2024-02-29T23:59:00.000000', 'no', 'ø', 20n, '2024-01-01T00:00:00.000000'],
    [2, '2024-03-01T00:00:00.000000', 'no', 'gone', null, '2024-03-01T00:00:00.000000'],
    [77, '2024-05-01T00:00:00.000000', 'no', 'never', null, null],
    [4, '2024-05-01T00:00:00.000000', 'no', 'cut', null, '2024-03-01T00:00:00.000000'],
  ])
  expect([rows[0]?.amount, rows[0]?.is_partner, rows[0]?.colour, rows[3]?.colour]).toEqual([0.1, true, null, 2n])
  expect(made.manifest.rows).toEqual({ served: 7, rejected: 4, unknown: 1, deleted: 1, cut: 1, otherType: 1 })
  expect(made.manifest.newest).toEqual({ recordedAt: '2024-04-01T00:00:00.000000Z', snapLsn: '0/1' })
  const manifest = JSON.parse(await readFile(join(made.folder, 'manifest.json'), 'utf8'))
  expect(manifest).toMatchObject({
    unknown: { keys: ['77'], isWhole: true },
    features: [{ version: 3, hash: 'h' }, {}, {}, {}],
  })
  expect(await readFile(join(made.folder, 'rejects.csv'), 'utf8')).toBe(
    [
      'line,reason,label,shop,seen,note',
      '9,its time is not one,yes,1,soon,x',
      '10,its key is not integer,yes,one,2024-01-01,x',
      '11,its time is not past yet,yes,1,2999-01-01,x',
      '12,it has 2 fields where the header has 4,yes,1',
      '',
    ].join('\n'),
  )
  const metadata = await parquetMetadataAsync(await asyncBufferFromFile(join(made.folder, 'data.parquet')))
  expect(new Set(metadata.row_groups.flatMap(({ columns }) => columns.map((one) => one.meta_data?.codec)))).toEqual(
    new Set(['ZSTD']),
  )
})

test('the same request gives the same bytes, also after more has come to be known', async () => {
  await using database = await deployed('dataset_same', PAST)
  const lines = Array.from({ length: 2_500 }, (_, nr) => `${(nr % 3) + 1},2024-0${(nr % 4) + 1}-02,${nr}`)
  const list = ['shop,seen,nr', ...lines].join('\r\n')
  const a = await make(database, { name: 'a', list })
  await writePast(database, 'shop', [
    { key: '3', op: 'insert', validAt: '2024-01-01', recordedAt: '2024-06-01', to: { visits: 7 } },
  ])
  const b = await make(database, { name: 'b', list })
  const read = (made: typeof a, name: string) => readFile(join(made.folder, name))
  expect(await readdir(a.folder)).toEqual(['data.parquet', 'manifest.json'])
  expect(await read(a, 'data.parquet')).toEqual(await read(b, 'data.parquet'))
  expect(await read(a, 'manifest.json')).toEqual(await read(b, 'manifest.json'))
  expect(a.manifest.rows).toMatchObject({ served: 2_500, unknown: 833 })
  expect((await rowsIn(a)).map(({ nr }) => nr)).toEqual(Array.from({ length: 2_500 }, (_, nr) => String(nr)))
  expect(await diffDatasets(database.pool, 'a', 'b', quiet)).toMatchObject({ isSame: true })
  expect((await listDatasets(database.pool)).map(({ name }) => name)).toEqual(['a', 'b'])
})

test('a data set that was touched is told, and what differs between two', async () => {
  await using database = await deployed('dataset_verify', PAST)
  const list = 'shop,seen\n1,2024-03-01\n2,2024-01-15\n'
  const first = await make(database, { name: 'first', list, features: ['visits', 'colour'] })
  expect(await verifyDataset(database.pool, 'first', quiet)).toMatchObject({ problems: [] })
  expect(await datasetsNotErased(database.pool, ['company'])).toEqual([])
  expect(await datasetsNotErased(database.pool, ['shop'])).toEqual([expect.stringContaining(first.folder)])
  await writePast(database, 'shop', [{ key: '1', op: 'update', validAt: '2024-02-15', to: { visits: 3 } }])
  await database.query(`update rescore.definition set version = 4 where feature = 'visits'`)
  await make(database, { name: 'second', list, features: ['visits', 'amount'] })
  expect(await diffDatasets(database.pool, 'first', 'second', quiet)).toMatchObject({
    isSame: false,
    request: {},
    added: ['amount'],
    removed: ['colour'],
    changed: [{ feature: 'visits', a: expect.stringContaining('v3'), b: expect.stringContaining('v4') }],
    rows: { compared: 2, differing: 1, byColumn: { visits: 1, _recorded_at: 1 } },
  })
  await truncate(join(first.folder, 'data.parquet'), 100)
  expect(await verifyDataset(database.pool, 'first', quiet)).toMatchObject({
    problems: [expect.stringMatching(/100 bytes/)],
  })
  const manifest = join(first.folder, 'manifest.json')
  await writeFile(manifest, (await readFile(manifest, 'utf8')).replace('"served": 2', '"served": 3'))
  expect((await verifyDataset(database.pool, 'first', quiet)).problems).toHaveLength(2)
  await expect(diffDatasets(database.pool, 'first', 'third', quiet)).rejects.toMatchObject({ code: 'DATASET_UNKNOWN' })
})

test('what cannot be made leaves nothing behind, and is not listed', async () => {
  await using database = await deployed('dataset_refused', PAST)
  const refused = (name: string, list: string) => make(database, { name, list }).catch((error: unknown) => error)
  expect(await refused('no-time', 'shop,when\n1,2024-01-01\n')).toMatchObject({ code: 'DATASET_ENTITIES' })
  expect(await refused('twice', 'shop,seen,visits\n1,2024-01-01,1\n')).toMatchObject({ code: 'DATASET_ENTITIES' })
  expect(await refused('open-quote', 'shop,seen\n1,2024-01-01\n"2,2024-01-01\n')).toMatchObject({
    code: 'DATASET_ENTITIES',
  })
  expect(await readdir(join(folder, 'open-quote'))).toEqual([])
  const latin = Buffer.from('shop,seen\n1,2024-01-01\n2,\xe9\n', 'latin1')
  expect(await make(database, { name: 'latin', list: latin }).catch((error: unknown) => error)).toMatchObject({
    code: 'DATASET_ENTITIES',
    message: expect.stringContaining('not UTF-8'),
  })
  const list = 'shop,seen\n1,2024-03-01\n'
  const noFolder = make(database, { name: 'no-folder', list }, join(folder, 'twice.csv'))
  await expect(noFolder).rejects.toMatchObject({ code: 'DATASET_FOLDER' })
  const stopped = new Error('stopped')
  const asked = make(database, { name: 'stopped', list }, folder, AbortSignal.abort(stopped))
  await expect(asked).rejects.toBe(stopped)
  expect(await readdir(join(folder, 'stopped'))).toEqual([])
  await make(database, { name: 'once', list })
  expect(await refused('once', list)).toMatchObject({ code: 'DATASET_EXISTS' })
  await database.query(`delete from rescore.dataset where name = 'once'`)
  expect(await refused('once', `${list}2,2024-03-01\n`)).toMatchObject({ code: 'DATASET_FOLDER' })
  // As after a crash before it was listed: the same request takes the folder over.
  expect(await refused('once', list)).toMatchObject({ name: 'once' })
  expect((await listDatasets(database.pool)).map(({ name }) => name)).toEqual(['once'])
  expect((await readdir(join(folder, 'once'))).some((name) => name.endsWith('.partial'))).toBe(false)
})
