import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeRecord } from './decode.ts'
import { ByteWriter } from './encode-bytes.ts'
import { UNAVAILABLE, writeHeader, writeVarint } from './envelope.ts'
import type { BatchRecord } from './publish-batch.ts'
import { smallerRecord } from './publish-smaller.ts'

type Row = Readonly<Record<string, unknown>> | null

const SOURCE = { schema: 'public', table: 't', txId: 7, ts_us: 1_700_000_000_000_000 }

function recordOf(op: string, before: Row, after: Row, columns?: object): BatchRecord {
  const headers = new ByteWriter()
  writeVarint(headers, columns === undefined ? 1 : 2)
  writeHeader(headers, 'rescore.position', Buffer.from('0000000000000010/2'))
  if (columns !== undefined) writeHeader(headers, 'rescore.columns', Buffer.from(JSON.stringify(columns)))
  return {
    key: Buffer.from(JSON.stringify({ id: after?.id ?? before?.id })),
    value: Buffer.from(JSON.stringify({ before, after, source: SOURCE, op })),
    headers: Buffer.from(headers.bytes.subarray(0, headers.at)),
  }
}

const parsed = (record: BatchRecord | null) => JSON.parse(String(record?.value))

/** As a consumer gets it; the headers of the test stand in a row. */
function decoded(record: BatchRecord) {
  const named = /rescore\.columns(.*)$/s.exec(record.headers.toString('latin1'))?.[1]
  const columns = named?.slice(named.indexOf('{'))
  const headers = { 'rescore.xid': '7', ...(columns === undefined ? {} : { 'rescore.columns': columns }) }
  const { key, value } = record
  return decodeRecord({ offset: 0n, timestampMs: 0, key, value, headers }, { lsn: 16n, index: 2 }, () => 'text')
}

const LARGE = 'x"\\é'.repeat(1_000)

test('only what is large is left out, whatever it is made of; every other byte stays', () => {
  const small = fc.jsonValue({ maxDepth: 2 }).filter((value) => JSON.stringify(value).length <= 1_000)
  const large = fc.oneof(
    fc.string({ minLength: 1_100, maxLength: 1_200, unit: 'grapheme' }),
    fc.array(fc.string({ minLength: 20 }), { minLength: 60, maxLength: 70 }),
    fc.string({ minLength: 1_100 }).map((text) => ({ '}': text, '"': [text] })),
  )
  const row = fc.record({ id: fc.integer(), a: fc.oneof(small, large), 'b"}': fc.oneof(small, large), c: small })
  fc.assert(
    fc.property(fc.option(row), row, (before, after) => {
      const isLarge = (column: 'a' | 'b"}') =>
        [before, after].some((side) => side !== null && Buffer.byteLength(JSON.stringify(side[column])) > 1_024)
      const left = (['a', 'b"}'] as const).filter(isLarge)
      const smaller = smallerRecord(recordOf('u', before, after))
      if (left.length === 0) {
        expect(smaller).toBeNull()
        return
      }
      const without = (side: Row) =>
        side === null ? null : { ...side, ...Object.fromEntries(left.map((column) => [column, UNAVAILABLE])) }
      const whole = { before: without(before), after: without(after), source: SOURCE, op: 'u' }
      expect(JSON.stringify(parsed(smaller))).toBe(JSON.stringify(JSON.parse(JSON.stringify(whole))))
      expect(smaller?.headers.toString()).toContain('0000000000000010/2')
    }),
    { numRuns: 200 },
  )
})

test('a consumer takes what was left out for changed and unknown, and what an update did not touch for untouched', () => {
  const before = { id: '1', large: `${LARGE}old`, toast: UNAVAILABLE, name: 'a' }
  const after = { id: '1', large: `${LARGE}new`, toast: UNAVAILABLE, name: 'a' }
  const smaller = smallerRecord(recordOf('u', before, after, { before: ['toast'], after: ['toast'] }))
  if (smaller === null) throw new TypeError('nothing was left out')
  expect(decoded(smaller)).toMatchObject({
    op: 'update',
    changed: ['large'],
    before: { id: '1', name: 'a' },
    after: { id: '1', name: 'a' },
  })
})

test('if that is not enough more is left out, and at last nothing is left to leave out', () => {
  const first = smallerRecord(recordOf('c', null, { id: 1, large: LARGE, middle: 'm'.repeat(500), little: 'l' }))
  expect(parsed(first).after).toEqual({ id: 1, large: UNAVAILABLE, middle: 'm'.repeat(500), little: 'l' })
  const second = first && smallerRecord(first)
  expect(parsed(second).after).toEqual({ id: 1, large: UNAVAILABLE, middle: UNAVAILABLE, little: 'l' })
  expect(second && smallerRecord(second)).toBeNull()
})

test('the columns of the key stay, however large', () => {
  expect(smallerRecord(recordOf('d', { id: LARGE }, null))).toBeNull()
})
