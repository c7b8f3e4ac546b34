import { describe, expect, test } from 'vitest'
import {
  encoderOf,
  insert,
  int32,
  RELID,
  relation,
  remove,
  textOf,
  tuple,
  update,
} from '../../../test/support/kafka/row-messages.ts'
import { DEFAULT_TYPES, type EncodeTypes } from './encode-types.ts'

/** The JSON of one value of one type. */
function jsonOf(oid: number, text: string, types: Partial<EncodeTypes> = {}, typmod = -1): string {
  const { encoder, encode } = encoderOf(relation([['v', oid, typmod]], []), { ...DEFAULT_TYPES, ...types })
  encode(insert([text]))
  const value = textOf(encoder.value)
  return value.slice('{"before":null,"after":{"v":'.length, value.indexOf('},"source"'))
}

describe('a value as Debezium writes it with schemas off', () => {
  test.each([
    ['boolean', 16, 't', 'true'],
    ['bigint beyond 2^53, unquoted', 20, '9223372036854775807', '9223372036854775807'],
    ['integer below zero', 23, '-7', '-7'],
    ['double', 701, '1e+20', '1e+20'],
    ['double that is no number', 701, 'NaN', '"NaN"'],
    ['double without end', 701, '-Infinity', '"-Infinity"'],
    ['numeric', 1700, '-0012.3400', '"-0012.3400"'],
    ['numeric that is no number', 1700, 'NaN', '"NAN"'],
    ['numeric without end', 1700, '-Infinity', '"NEGATIVE_INFINITY"'],
    ['money', 790, '-$1,234.50', '"-1234.50"'],
    [
      'text with quotes, controls and other scripts',
      25,
      'a"\\\n\u0001\u001f/é漢😀\u2028',
      '"a\\"\\\\\\n\\u0001\\u001f/é漢😀\u2028"',
    ],
    ['jsonb as a string', 3802, '{"a": 12345678901234567890}', '"{\\"a\\": 12345678901234567890}"'],
    ['uuid', 2950, '0b2f1c1e-0000-4000-8000-000000000000', '"0b2f1c1e-0000-4000-8000-000000000000"'],
    ['a type not known', 99_999, 'as "it" is', '"as \\"it\\" is"'],
    ['date', 1082, '2026-01-01', '20454'],
    ['date before 1970', 1082, '1969-12-31', '-1'],
    ['date BC', 1082, '0044-03-15 BC', '-735160'],
    ['date without end', 1082, 'infinity', '2146033979'],
    ['timestamp', 1114, '2026-01-01 00:00:00.123456', '1767225600123456'],
    ['timestamp before 1970', 1114, '1969-12-31 23:59:59.999999', '-1'],
    ['timestamp at 1970', 1114, '1970-01-01 00:00:00', '0'],
    ['timestamp with a short fraction', 1114, '1970-01-01 00:00:01.5', '1500000'],
    ['timestamp of the last year', 1114, '294276-12-31 23:59:59.999999', '9224318015999999999'],
    ['timestamp without end', 1114, '-infinity', '-9223372036854775808'],
    ['timestamptz', 1184, '2026-01-01 00:00:00.12+00', '"2026-01-01T00:00:00.120000Z"'],
    ['timestamptz BC', 1184, '0044-03-15 12:00:00+00 BC', '"-0043-03-15T12:00:00.000000Z"'],
    ['timestamptz beyond four digits', 1184, '10000-01-01 00:00:00+00', '"+10000-01-01T00:00:00.000000Z"'],
    ['timestamptz without end', 1184, 'infinity', '"infinity"'],
    ['time', 1083, '24:00:00', '86400000000'],
    ['time with a zone, moved to UTC', 1266, '01:30:00.5+02', '"23:30:00.5Z"'],
    ['time with an odd zone', 1266, '10:00:00-03:30', '"13:30:00Z"'],
    ['interval', 1186, '1 day 02:03:04.5', '93784500000'],
    ['interval below zero', 1186, '-00:00:01', '-1000000'],
    ['interval of months', 1186, '1 mon', '2629800000000'],
    ['bytea', 17, '\\xdeadbeef', '"3q2+7w=="'],
    ['integer array', 1007, '{1,NULL,-3}', '[1,null,-3]'],
    ['nested array', 1007, '{{1,2},{3,4}}', '[[1,2],[3,4]]'],
    ['array with other bounds', 1007, '[0:1]={1,2}', '[1,2]'],
    ['empty array', 1009, '{}', '[]'],
    ['text array', 1009, '{a,"b,\\"c\\\\","",NULL,"NULL"}', '["a","b,\\"c\\\\","",null,"NULL"]'],
    ['date array', 1182, '{2026-01-01}', '[20454]'],
    ['timestamptz array', 1185, '{"2026-01-01 00:00:00+00"}', '["2026-01-01T00:00:00.000000Z"]'],
    ['point', 600, '(1.5,-2)', '{"x":1.5,"y":-2,"wkb":"AQEAAAAAAAAAAAD4PwAAAAAAAADA","srid":null}'],
    ['bits', 1562, '1000000001', '"AQI="'],
  ])('%s', (_, oid, text, json) => expect(jsonOf(oid, text)).toBe(json))

  test.each([
    ['numeric with a scale of its own', 1700, '1.23', { decimal: 'precise' }, -1, '{"scale":2,"value":"ew=="}'],
    ['numeric with zeros behind', 1700, '1.2300', { decimal: 'precise' }, -1, '{"scale":2,"value":"ew=="}'],
    ['numeric(10,2)', 1700, '-1.5', { decimal: 'precise' }, (10 << 16) + 2 + 4, '"/2o="'],
    ['numeric as a number', 1700, '1.50', { decimal: 'double' }, -1, '1.50'],
    ['numeric NaN as a number', 1700, 'NaN', { decimal: 'double' }, -1, '"NaN"'],
    ['timestamp(3)', 1114, '2026-01-01 00:00:00.123', {}, 3, '1767225600123'],
    ['timestamptz(0)', 1184, '2026-01-01 00:00:00+00', {}, 0, '"2026-01-01T00:00:00Z"'],
    ['time(0)', 1083, '00:00:01', {}, 0, '1000'],
    ['ISO date', 1082, '2026-01-01', { time: 'iso' }, -1, '"2026-01-01Z"'],
    ['ISO timestamp', 1114, '2026-01-01 01:02:03.4', { time: 'iso' }, -1, '"2026-01-01T01:02:03.4Z"'],
    ['ISO time', 1083, '01:02:03', { time: 'iso' }, -1, '"01:02:03Z"'],
    ['ISO interval', 1186, '1 year 2 mons -3 days 04:05:06.7', { time: 'iso' }, -1, '"P1Y2M-3DT4H5M6.7S"'],
    ['one bit', 1560, '1', {}, 1, 'true'],
  ] as const)('%s', (_, oid, text, types, typmod, json) => expect(jsonOf(oid, text, types, typmod)).toBe(json))
})

const TWO = relation(
  [
    ['id', 20],
    ['body', 25],
  ],
  ['id'],
)

test('the envelope has every field of Debezium in its order, and the key is that of the row', () => {
  const { encoder, encode } = encoderOf(TWO)
  expect(encode(update(['1', 'a'], ['1', null]))).toBe('update')
  expect(textOf(encoder.key)).toBe('{"id":1}')
  expect(textOf(encoder.value)).toBe(
    '{"before":{"id":1,"body":"a"},"after":{"id":1,"body":null},"source":{"version":"1","connector":"postgresql",' +
      '"name":"crm","ts_ms":1767225600123,"snapshot":"false","db":"shop","sequence":"[\\"42\\",\\"4294970044\\"]",' +
      '"ts_us":1767225600123456,"ts_ns":1767225600123456000,"schema":"public","table":"t","txId":731,"lsn":4294970044,' +
      '"xmin":null,"origin":null,"origin_lsn":null},"transaction":null,"op":"u","ts_ms":1767225601000,' +
      '"ts_us":1767225601000000,"ts_ns":1767225601000000000}',
  )
})

test('a changed key is a delete under the old and a create under the new', () => {
  const { encoder, encode } = encoderOf(TWO)
  expect(encode(update(['1', 'a'], ['2', 'a']))).toBe('rekey')
  expect([textOf(encoder.oldKey), textOf(encoder.key)]).toEqual(['{"id":1}', '{"id":2}'])
  expect(JSON.parse(textOf(encoder.value))).toMatchObject({ op: 'd', before: { id: 1, body: 'a' }, after: null })
  expect(JSON.parse(textOf(encoder.created))).toMatchObject({ op: 'c', before: null, after: { id: 2, body: 'a' } })
})

test('an unchanged TOASTed value comes from the old row, or is a placeholder that a header names', () => {
  const { encoder, encode } = encoderOf(TWO)
  encode(update(['1', 'long'], ['1', undefined]))
  expect(JSON.parse(textOf(encoder.value))).toMatchObject({ after: { body: 'long' } })
  expect(encoder.unknownColumns).toBeNull()
  const update2 = Buffer.concat([Buffer.from('U'), int32(RELID), Buffer.from('N'), tuple(['1', undefined])])
  expect(encode(update2)).toBe('update')
  expect(JSON.parse(textOf(encoder.value))).toMatchObject({
    before: null,
    after: { body: '__debezium_unavailable_value' },
  })
  expect(JSON.parse(String(encoder.unknownColumns))).toEqual({ after: ['body'] })
})

test('of a key-only old tuple the other columns are null and named as not known', () => {
  const described = { ...TWO, columns: TWO.columns.map((column) => ({ ...column, isIdentity: column.name === 'id' })) }
  const { encoder, encode } = encoderOf(described)
  expect(encode(remove(['1', null], 'K'))).toBe('delete')
  expect(JSON.parse(textOf(encoder.value))).toMatchObject({ op: 'd', before: { id: 1, body: null }, after: null })
  expect(JSON.parse(String(encoder.unknownColumns))).toEqual({ before: ['body'] })
})

test('a message that ends early, or goes on after its end, is refused', () => {
  const { encode } = encoderOf(TWO)
  const whole = update(['1', 'abc'], ['1', 'abcd'])
  expect(() => encode(Buffer.concat([whole, Buffer.from('x')]))).toThrow(/CAPTURE_DECODE|bytes too many/)
  for (let length = 6; length < whole.length; length += 1) expect(() => encode(whole.subarray(0, length))).toThrow()
})
