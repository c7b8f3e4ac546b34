/** Records of a real Debezium connector, as it wrote them. */
import { expect, test } from 'vitest'
import { recorded } from '../../../test/support/kafka/debezium-records.ts'
import { read } from '../../../test/support/kafka/records.ts'
import { keyTexts } from './consume-record.ts'
import { decodeRecord, type KafkaRecord, sourceLsn } from './decode.ts'

const at = { lsn: 1n, index: 0 }
const kinds: Readonly<Record<string, string>> = { id: 'bigint', note: 'text', big: 'text', amount: 'number' }
const kindOf = (_: string, column: string) => (column === 'seen' ? 'timestamp' : kinds[column])
const decoded = (records: readonly KafkaRecord[]) => records.map((record) => decodeRecord(record, at, kindOf))

const plain = read(recorded('plain'))
const big = 'x'.repeat(40)
const row = { note: 'm', big, amount: '2', seen: '2026-01-01 00:00:00+00' }

test('every kind of change is read, with the values of PostgreSQL', () => {
  expect(decoded(plain)).toMatchObject([
    {
      op: 'insert',
      table: 'public.whole',
      // A snapshot's transaction is not that of the row, and open for as long as the snapshot takes.
      xid: 0,
      after: { id: '9007199254740993', note: 'a "q"', big: null, amount: '1.50', seen: '2026-01-01 00:00:00.5+00' },
    },
    { op: 'insert', xid: 764, before: null, after: { ...row, id: '1', note: 'n' } },
    { op: 'update', before: { ...row, id: '1', note: 'n' }, after: { ...row, id: '1' }, changed: ['note'] },
    { op: 'delete', xid: 766, before: { ...row, id: '1' }, after: null },
    null,
    { op: 'insert', xid: 766, before: null, after: { ...row, id: '2' } },
    { op: 'delete', before: { ...row, id: '2' }, after: null },
    null,
    { op: 'truncate', before: null, after: null },
  ])
})

test('with schemas around them they say the same', () => {
  const wrapped = read(recorded('wrapped'))
  const same = plain.filter((_, place) => [0, 2, 3].includes(place))
  const timeless = (records: readonly KafkaRecord[]) =>
    decoded(records).map((entry) => entry !== null && { ...entry, committedAtMs: 0 })
  expect(timeless(wrapped)).toEqual(timeless(same))
  expect(wrapped.map(({ key }) => keyTexts(key))).toEqual(same.map(({ key }) => keyTexts(key)))
  // The snapshots were taken one after the other.
  expect(wrapped.slice(1).map(sourceLsn)).toEqual(same.slice(1).map(sourceLsn))
})

test('a value that was not carried is no change, and no value', () => {
  expect(decoded(read(recorded('partial')))).toMatchObject([
    { op: 'update', before: null, changed: null, after: { id: '1', note: 'm', amount: '2' } },
  ])
  const [{ after } = { after: {} }] = decoded(read(recorded('partial'))).filter((entry) => entry?.kind === 'change')
  expect(after).not.toHaveProperty('big')
})
