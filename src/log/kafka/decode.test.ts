import { expect, test } from 'vitest'
import { decodeRecord, type KafkaRecord, positionOf } from './decode.ts'
import { postgresText } from './decode-value.ts'

const at = { lsn: 0x100n, index: 2 }
const kinds: Readonly<Record<string, string>> = {
  id: 'bigint',
  name: 'text',
  amount: 'number',
  day: 'date',
  seen: 'timestamp',
  ok: 'boolean',
}
const kindOf = (table: string, column: string) => (table === 'app.t' ? kinds[column] : undefined)

function record(value: unknown, headers: KafkaRecord['headers'] = {}): KafkaRecord {
  const bytes = value === null ? null : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
  return { offset: 7n, timestampMs: 5, key: Buffer.from('{"id":1}'), value: bytes, headers }
}

const source = { schema: 'app', table: 't', txId: 77, lsn: 256, ts_ms: 1_750_000_000_123, ts_us: 1_750_000_000_123_456 }

test('an update gives texts as PostgreSQL prints them, and exactly the columns that differ, declared or not', () => {
  const before = {
    id: 1,
    name: 'ä"',
    amount: '1.50',
    day: 19_782,
    seen: '2024-02-29T10:00:00.12Z',
    ok: true,
    other: [1],
  }
  const after = { ...before, amount: '1.5', seen: '2024-02-29T10:00:00Z', ok: null, other: [2] }
  const headers = { 'rescore.xid': '4294967295' }
  expect(decodeRecord(record({ op: 'u', before, after, source }, headers), at, kindOf)).toEqual({
    kind: 'change',
    position: at,
    xid: 4_294_967_295,
    committedAtMs: 1_750_000_000_123.456,
    table: 'app.t',
    op: 'update',
    before: { id: '1', name: 'ä"', amount: '1.50', day: '2024-02-29', seen: '2024-02-29 10:00:00.12+00', ok: 't' },
    after: { id: '1', name: 'ä"', amount: '1.5', day: '2024-02-29', seen: '2024-02-29 10:00:00+00', ok: null },
    changed: ['amount', 'seen', 'ok', 'other'],
  })
})

test('whole numbers beyond 2^53 keep their digits, in keys and in what differs', () => {
  const text = `{"before":{"id":9007199254740993,"n":9007199254740992},"after":{"id":9007199254740993,"n":9007199254740993},"source":${JSON.stringify(source)},"op":"u"}`
  expect(decodeRecord(record(text), at, kindOf)).toMatchObject({ after: { id: '9007199254740993' }, changed: ['n'] })
})

test('an unknown old row means that everything may have changed; values not carried are left out', () => {
  const after = { id: 1, name: '__debezium_unavailable_value', amount: null }
  expect(decodeRecord(record({ op: 'u', before: null, after, source }), at, kindOf)).toMatchObject({
    before: null,
    after: { id: '1', amount: null },
    changed: null,
  })
  const before = { id: 1, name: null, amount: null }
  const headers = { 'rescore.columns': '{"before":["name","amount"]}' }
  const deleted = decodeRecord(record({ op: 'd', before, after: null, source }, headers), at, kindOf)
  expect(deleted).toMatchObject({ op: 'delete', before: { id: '1' }, after: null })
})

test('an untouched TOASTed value has not changed, one that was not known before has', () => {
  const before = { id: 1, name: null, amount: '1' }
  const after = { id: 1, name: '__debezium_unavailable_value', amount: '1' }
  const headers = { 'rescore.columns': '{"before":["amount"]}' }
  expect(decodeRecord(record({ op: 'u', before, after, source }, headers), at, kindOf)).toMatchObject({
    changed: ['amount'],
  })
})

test('tombstones say nothing; a barrier is known by its header; a wrapped envelope and a snapshot row are read', () => {
  expect(decodeRecord(record(null), at, kindOf)).toBeNull()
  const headers = { 'rescore.barrier': 'abc', 'rescore.xid': '9' }
  expect(decodeRecord(record(null, headers), at, kindOf)).toMatchObject({ kind: 'barrier', content: 'abc', xid: 9 })
  const payload = { op: 'r', before: null, after: { id: 3 }, source: { ...source, txId: null } }
  const snapshot = decodeRecord(record({ schema: {}, payload }), at, kindOf)
  expect(snapshot).toMatchObject({ op: 'insert', xid: 0, after: { id: '3' } })
  expect(decodeRecord(record({ op: 't', source }), at, kindOf)).toMatchObject({ op: 'truncate', before: null })
})

test.each([
  ['{', /not JSON/],
  ['3', /not an envelope/],
  [{ op: 'u', source: {}, after: {} }, /no table/],
  [{ op: 'x', source, after: {} }, /operation/],
  [{ op: 'u', source }, /no row/],
])('what cannot be understood is refused by its reason: %j', (value, reason) => {
  expect(() => decodeRecord(record(value), at, kindOf)).toThrow(
    expect.objectContaining({ code: 'LOG_RECORD', fate: 'dead-letter', message: expect.stringMatching(reason) }),
  )
})

test('the position is our header, and a header that is none is refused', () => {
  expect(positionOf(record(null, { 'rescore.position': '000000010000000a/12' }))).toEqual({
    lsn: 0x10000000an,
    index: 12,
  })
  expect(positionOf(record(null))).toBeNull()
  expect(() => positionOf(record(null, { 'rescore.position': '12' }))).toThrow(/no position/)
})

test.each([
  ['number', 'AZY=', undefined],
  ['number', '-12.50', '-12.50'],
  ['timestamp', 1_700_000_000_000_000, undefined],
  ['timestamp', '10000-01-01T00:00:00Z', undefined],
  ['date', 3_000_000, undefined],
  ['float', 1e300, undefined],
  ['float', 0.1, '0.1'],
  ['integer', 'NaN', undefined],
  ['json', '{"a": 1}', '{"a": 1}'],
])('a %s given as %j is %j in PostgreSQL', (kind, value, text) => {
  expect(postgresText(kind, value)).toBe(text)
})
