/** Whatever stands in a file, each good record arrives once, in order, and a bad line costs itself alone. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { csvRecords } from './csv.ts'
import { type Line, readLines } from './lines.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rescore-csv-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const never = new AbortController().signal
const decoder = new TextDecoder('utf-8', { fatal: true })
const reader = { delimiter: ',', decode: (bytes: Buffer) => decoder.decode(bytes) }
const WIDTH = 3

async function read(content: string | Buffer, from = 0, number = 1) {
  const path = join(folder, 'file.csv')
  await writeFile(path, content)
  const found = []
  for await (const record of csvRecords(readLines(path, from, number, never), WIDTH, reader)) found.push(record)
  return found
}

const quoted = (value: string) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value)

// Behind a quote that is never closed, one before a comma or a line end is its end by the standard: no field begins so.
const value = fc
  .array(fc.constantFrom('a', 'ü', '🚀', ' ', ',', '"', '\n', '5" ', 'NULL', '\t'), { maxLength: 8 })
  .map((parts) => parts.join(''))
  .filter((text) => !/^[",\s]/.test(text) && !/\s$/.test(text))
const row = fc.tuple(fc.constantFrom('k1', 'k2'), value, value)
const badLine = fc.constantFrom('too,few', 'one,too,many,fields', 'x,"never closed,y')

test('good rows arrive as they are, bad lines are named by their number', async () => {
  const lineEnd = fc.constantFrom('\n', '\r\n')
  const entries = fc.array(fc.oneof({ weight: 4, arbitrary: row }, { weight: 1, arbitrary: badLine }), {
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(entries, lineEnd, fc.boolean(), async (given, end, endsWithEnd) => {
      const texts = given.map((entry) => (typeof entry === 'string' ? entry : entry.map(quoted).join(',')))
      const found = await read(texts.join(end) + (endsWithEnd ? end : ''))
      const good = given.filter((entry) => typeof entry !== 'string')
      expect(found.flatMap((record) => ('fields' in record ? [record.fields] : []))).toEqual(good)
      const numbers = texts.flatMap((_, at) =>
        typeof given[at] === 'string'
          ? [1 + texts.slice(0, at).join('\n').split('\n').length - (at === 0 ? 1 : 0)]
          : [],
      )
      expect(found.flatMap((record) => ('reason' in record ? [record.line.number] : []))).toEqual(numbers)
    }),
    { numRuns: 300 },
  )
})

test('quotes that are out of place within a line are text', async () => {
  const found = await read('1,5" pipe,y\n2,"closed" too early,y\n3,"a ""b"" c",y\n')
  expect(found).toMatchObject([
    { fields: ['1', '5" pipe', 'y'] },
    { fields: ['2', '"closed" too early', 'y'] },
    { fields: ['3', 'a "b" c', 'y'] },
  ])
})

test('a read that begins where a record ended gives what is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 12 }), fc.nat(), async (rows, choice) => {
      const content = rows.map((fields) => fields.map(quoted).join(',')).join('\n')
      const whole = (await read(content)).flatMap((record) => ('fields' in record ? [record] : []))
      const at = choice % whole.length
      const record = whole[at]
      if (record === undefined) throw new Error('no record')
      const rest = await read(content, record.end, record.lastNumber + 1)
      expect(rest).toEqual(whole.slice(at + 1))
    }),
    { numRuns: 100 },
  )
})

test('a line that is no text and one beyond every cap are refused, their neighbours pass', async () => {
  const long = Buffer.alloc(17 * 1024 * 1024, 'x')
  const content = Buffer.concat([
    Buffer.from('1,a,b\n2,'),
    Buffer.from([0xff, 0xfe]),
    Buffer.from(',b\n3,'),
    long,
    Buffer.from(',b\n4,c,d\n'),
  ])
  const found = await read(content)
  expect(found.map((record) => ('fields' in record ? record.fields[0] : record.reason))).toEqual([
    '1',
    'it is no text in the encoding declared',
    'it is too long',
    '4',
  ])
})

test('a quote that is never closed holds no more than its cap, and everything behind it arrives', async () => {
  const rows = Array.from({ length: 5_000 }, (_, at) => `${at},a,b`)
  const started = performance.now()
  const found = await read(`x,"never,y\n${rows.join('\n')}\n`)
  expect(found.filter((record) => 'fields' in record)).toHaveLength(5_000)
  expect(found.filter((record) => 'reason' in record)).toMatchObject([{ line: { number: 1 } }])
  expect(performance.now() - started).toBeLessThan(30_000)
})

test('at the end of a growing file an open record is left for later, and read when its rest is there', async () => {
  const path = join(folder, 'growing.csv')
  const growing = async () => {
    const found = []
    for await (const record of csvRecords(readLines(path, 0, 1, never), WIDTH, reader, true)) found.push(record)
    return found.map((record) => ('fields' in record ? record.fields : record.reason))
  }
  await writeFile(path, '1,a,b\n2,"two\n')
  expect(await growing()).toEqual([['1', 'a', 'b']])
  await writeFile(path, '1,a,b\n2,"two\nlines",c\n')
  expect(await growing()).toEqual([
    ['1', 'a', 'b'],
    ['2', 'two\nlines', 'c'],
  ])
})

test('lines are split at any block border', async () => {
  const path = join(folder, 'long.txt')
  const texts = Array.from({ length: 40 }, (_, at) => `${at}`.repeat(at * 1_000))
  await writeFile(path, texts.join('\n'))
  const lines: Line[] = []
  for await (const line of readLines(path, 0, 1, never)) lines.push(line)
  expect(lines.map(({ bytes }) => bytes.toString())).toEqual(texts)
  expect(lines.map(({ isWhole }) => isWhole).lastIndexOf(true)).toBe(38)
})
