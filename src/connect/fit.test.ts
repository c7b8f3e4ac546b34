import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseJson } from '../define/exact-json.ts'
import { bigint, boolean, date, defineTable, json, number, text, timestamp } from '../define/index.ts'
import { fitMessage, fitRow, type Misfit } from './fit.ts'

const table = defineTable({
  name: 'a.b',
  key: 'id',
  columns: {
    id: bigint().notNull(),
    name: text(),
    size: number(),
    hiring: boolean(),
    since: date(),
    seen: timestamp(),
    must: text().notNull(),
    raw: json(),
  },
})
const pairs = defineTable({
  name: 'a.pairs',
  key: ['left_id', 'right_id'],
  columns: { left_id: bigint().notNull(), right_id: bigint().notNull(), label: text() },
})

describe('a row is fitted to its table', () => {
  test('what fits is passed on as it is', () => {
    const row = { id: 1n, name: 'One', size: 1, hiring: true, seen: 0, must: '' }
    expect(fitRow(table, { ...row, seen: '2026-01-01T00:00:00Z' })).toMatchObject({ misfits: [] })
    const fits = { id: '1', name: 'One', size: '1.50', since: '2026-01-01', must: '' }
    const fitted = fitRow(table, fits)
    expect('row' in fitted && fitted.row).toBe(fits)
  })

  test.each([
    ['a field without a column', { city: 'Oslo' }, { raw: { city: 'Oslo' } }],
    ['a retyped value', { size: 'many' }, { size: null, raw: { size: 'many' } }],
    ['a number where text was', { name: 12 }, { name: '12' }],
    ['an object where text was', { name: { first: 'A' } }, { name: null, raw: { name: { first: 'A' } } }],
    ['text for a flag', { hiring: 'yes' }, { hiring: null, raw: { hiring: 'yes' } }],
    ['a day there is not', { since: '2026-02-30' }, { since: null, raw: { since: '2026-02-30' } }],
    ['NUL', { name: 'a\0b' }, { name: 'a\uFFFDb', raw: { name: 'a\\u0000b' } }],
    ['half a surrogate pair in json', { extra: ['\ud83d'] }, { raw: { extra: ['\uFFFD'] } }],
    ['a bigint deep in what is left', { extra: { n: 2n ** 60n } }, { raw: { extra: { n: '1152921504606846976' } } }],
    ['milliseconds', { seen: 1_767_225_600_000 }, { seen: '2026-01-01T00:00:00.000Z' }],
  ])('%s never fails the record', (_, given, expected) => {
    const fitted = fitRow(table, { id: 1n, must: 'x', ...given })
    expect(fitted).toMatchObject({ row: { id: '1', must: 'x', ...expected } })
  })

  test.each([
    ['a key that does not fit', { id: 'one', must: 'x' }, 'CONNECT_RECORD_KEY'],
    ['no key', { must: 'x' }, 'CONNECT_RECORD_KEY'],
    ['null where it must not be', { id: 1n, must: null }, 'CONNECT_RECORD_NULL'],
    ['what does not fit where it must not be null', { id: 1n, must: {} }, 'CONNECT_RECORD_NULL'],
  ])('%s refuses it, alone and whole', (_, row, code) => {
    const message = fitMessage({ op: 'upsert', table, row }, () => undefined)
    expect(message).toMatchObject({ op: 'reject', code, raw: row })
  })

  test('without a raw column the caller hears that a value is gone', () => {
    const misfits: Misfit[] = []
    const row = { left_id: 1, right_id: 2, since: 3 }
    const message = fitMessage({ op: 'upsert', table: pairs, row }, (misfit) => misfits.push(misfit))
    expect(message).toMatchObject({ op: 'upsert', row: { left_id: '1', right_id: '2' } })
    expect(misfits).toMatchObject([{ field: 'since', kept: false, unknown: true }])
  })

  test('an edge is a row of its table, or its end', () => {
    const ends = { from: { left_id: 1 }, to: { right_id: 2 } }
    const made = fitMessage({ op: 'edge', table: pairs, ...ends, label: 'Primary' }, () => undefined)
    expect(made).toMatchObject({ op: 'upsert', row: { left_id: '1', right_id: '2', label: 'Primary' } })
    const gone = fitMessage({ op: 'edge', table: pairs, ...ends, removed: true }, () => undefined)
    expect(gone).toMatchObject({ op: 'delete', key: { left_id: 1, right_id: 2 } })
  })

  test('any JSON at all leaves a row that PostgreSQL can take: no NUL, no half pair, no bigint within', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ stringUnit: 'binary' })), (given) => {
        const fitted = fitRow(table, { ...given, id: 1n, must: 'x' })
        const stored = JSON.stringify('row' in fitted ? fitted.row : null)
        expect(stored).not.toMatch(/(?<!\\)(\\\\)*\\u(0000|d[89a-f])/i)
      }),
    )
  })
})

describe('JSON is read without loss', () => {
  test.each([
    ['9007199254740993', 9_007_199_254_740_993n],
    ['-9007199254740993', -9_007_199_254_740_993n],
    ['9007199254740991', 9_007_199_254_740_991],
    ['1.5', 1.5],
    ['0.1000000000000000055511', '0.1000000000000000055511'],
    ['12345678901234567.25', '12345678901234567.25'],
    ['1e400', '1e400'],
    ['"9007199254740993"', '9007199254740993'],
  ])('%s', (source, expected) => {
    expect(parseJson(`{"padding":"0123456789012345","value":${source}}`)).toMatchObject({ value: expected })
  })

  test('whatever JSON.parse reads, it reads alike', () => {
    const asNumbers = (_: string, part: unknown) => (typeof part === 'bigint' ? Number(part) : part)
    fc.assert(
      fc.property(fc.json(), (source) => {
        expect(JSON.stringify(parseJson(source), asNumbers)).toBe(JSON.stringify(JSON.parse(source)))
      }),
    )
  })
})
