import { expect, test } from 'vitest'
import { readConnectorOffset } from './connect-offsets.ts'

const key = Buffer.from('["crm-connector",{"server":"crm"}]')
const offset = (value: string | null, of = key) =>
  readConnectorOffset(of, value === null ? null : Buffer.from(value), 'crm')
const nothing = { connector: 'crm-connector', commitLsn: null, atMs: 0, isDeleted: false }

// As Kafka Connect 4.3 and Debezium 3.7 wrote them.
const COMMIT =
  '{"lsn_proc":28938512,"messageType":"COMMIT","lsn_commit":28938512,"lsn":28938512,"txId":764,"ts_usec":1795597088677384}'
const INSIDE =
  '{"lsn_proc":28929264,"lsn_events_processed":1,"messageType":"UPDATE","lsn_commit":28929208,"lsn":28929264,"txId":764,"ts_usec":1795597088677384}'
const AFTER_SNAPSHOT = '{"lsn":28934912,"txId":763,"ts_usec":1795597679157354}'

test('of a commit and of a change inside a transaction, the last commit before it is what counts', () => {
  expect(offset(COMMIT)).toEqual({ ...nothing, commitLsn: 28938512n, atMs: 1795597088677 })
  expect(offset(INSIDE)).toEqual({ ...nothing, commitLsn: 28929208n })
})

test('an LSN beyond 2^53 keeps its digits', () => {
  expect(offset('{"lsn": 1, "lsn_commit": 9007199254740993}')?.commitLsn).toBe(9007199254740993n)
})

test.each([
  ['a snapshot that is over', AFTER_SNAPSHOT],
  ['a snapshot under way', '{"snapshot":"INITIAL","lsn_commit":28934912,"last_snapshot_record":false}'],
  ['what is no offset of Debezium', '[1]'],
])('%s says nothing of commits', (_, value) => {
  expect(offset(value)).toEqual(nothing)
})

test('a deleted offset says that there is none', () => {
  expect(offset(null)).toEqual({ ...nothing, isDeleted: true })
})

test.each(['["other",{"server":"else"}]', '["sink",{"kafka_topic":"crm"}]', '"crm"', '["crm-connector"]', 'not JSON'])(
  'an offset of something else is passed over: %s',
  (other) => {
    expect(offset(COMMIT, Buffer.from(other))).toBeNull()
  },
)
