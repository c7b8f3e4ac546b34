/** Lists as people make them: by spreadsheets, by hand, empty, doubled, very long. What can be served is served. */
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { listDatasets } from '../../src/dataset/registry.ts'
import { formatInstant } from '../../src/history/instant.ts'
import { deployed, makeIn, rowsIn, temporaryFolder } from '../support/datasets.ts'
import type { PastRow } from '../support/past.ts'

const run = promisify(execFile)
const PAST: readonly PastRow[] = [
  { key: '1', op: 'insert', validAt: '2024-01-01', to: { visits: 1 } },
  { key: '2', op: 'insert', validAt: '2024-01-01', to: { visits: 2 } },
]

let folder = ''
beforeAll(async () => {
  folder = await temporaryFolder()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

test('a list out of a spreadsheet: byte order mark, CRLF, quotes, empty lines, rows that stand twice', async () => {
  await using database = await deployed('bad_sheet', PAST)
  const lines = [
    '\ufeffshop,"seen","the ""note"""',
    '1,2024-02-01,"two',
    'lines"',
    '',
    '1,2024-02-01,"two',
    'lines"',
    '"2"," 2024-02-01 ",',
    '',
  ]
  const made = await makeIn(database, folder, { name: 'sheet', list: lines.join('\r\n'), features: ['visits'] })
  const rows = await rowsIn(made)
  const at = (value: unknown) => (typeof value === 'bigint' ? formatInstant(value).slice(0, 10) : value)
  expect(rows.map((row) => [row.shop, at(row.seen), row['the "note"'], row.visits])).toEqual([
    [1, '2024-02-01', 'two\r\nlines', 1n],
    [1, '2024-02-01', 'two\r\nlines', 1n],
    [2, '2024-02-01', '', 2n],
  ])
  expect(made.manifest.rows).toMatchObject({ served: 3, rejected: 0 })
})

test('entities nobody knows are listed and the others served; every bad row is told with its line and reason', async () => {
  await using database = await deployed('bad_rows', PAST)
  const list = [
    'shop,seen',
    '1,2024-02-01',
    '7,2024-02-01',
    ',2024-02-01',
    '1,',
    '1,2024-02-30',
    '1,01.02.2024',
    '1,1706745600',
    '1,2999-01-01',
    '2,2024-02-01,more',
    '99999999999,2024-02-01',
    '8,2024-02-01',
    '7,2024-03-01',
  ]
  const made = await makeIn(database, folder, { name: 'rows', list: list.join('\n'), features: ['visits'] })
  expect(made.manifest.rows).toMatchObject({ served: 4, unknown: 3, rejected: 8 })
  const manifest = JSON.parse(await readFile(join(made.folder, 'manifest.json'), 'utf8'))
  expect(manifest.unknown).toEqual({ keys: ['7', '8'], isWhole: true })
  expect((await readFile(join(made.folder, 'rejects.csv'), 'utf8')).trim().split('\n')).toEqual([
    'line,reason,shop,seen',
    '4,its key is not integer,,2024-02-01',
    '5,its time is not one,1,',
    '6,its time is not one,1,2024-02-30',
    '7,its time is not one,1,01.02.2024',
    '8,its time is not one,1,1706745600',
    '9,its time is not past yet,1,2999-01-01',
    '10,it has 3 fields where the header has 2,2,2024-02-01,more',
    '11,its key is not integer,99999999999,2024-02-01',
  ])
})

test('a list of a header alone gives a data set without rows; one without a header, or of nothing, is refused', async () => {
  await using database = await deployed('bad_empty', PAST)
  const made = await makeIn(database, folder, { name: 'header', list: 'shop,seen\n' })
  expect(made.manifest.rows).toMatchObject({ served: 0, rejected: 0 })
  expect(await rowsIn(made)).toEqual([])
  for (const [name, list] of [
    ['nothing', ''],
    ['blank', '\r\n\r\n'],
    ['no-header', '1,2024-02-01\n'],
  ] as const) {
    await expect(makeIn(database, folder, { name, list })).rejects.toMatchObject({
      code: 'DATASET_ENTITIES',
      message: expect.stringContaining("no column 'shop'"),
    })
  }
})

/** Far less than the rows of the list, or of the data set, would take. */
const HEAP_MB = 56

test('a long list is joined in a heap that could not hold it', async () => {
  await using database = await deployed('bad_long', PAST)
  const rows = 180_000
  const lines = function* () {
    yield 'shop,seen,note\n'
    for (let nr = 0; nr < rows; nr += 1)
      yield `${(nr % 3) + 1},2024-02-0${(nr % 9) + 1},row ${nr} of a list that is long\n`
  }
  await pipeline(Readable.from(lines()), createWriteStream(join(folder, 'long.csv')))
  const child = [resolve(import.meta.dirname, 'create-child.ts'), folder, 'long', folder]
  const { stdout } = await run(resolve('node_modules/.bin/node'), [`--max-old-space-size=${HEAP_MB}`, ...child], {
    env: { ...process.env, DATABASE_URL: database.url },
  })
  process.stdout.write(`Peak memory of ${rows} rows: ${stdout.trim()} MB\n`)
  expect((await listDatasets(database.pool)).map(({ manifest }) => manifest.rows)).toMatchObject([
    { served: rows, unknown: rows / 3, rejected: 0 },
  ])
})
