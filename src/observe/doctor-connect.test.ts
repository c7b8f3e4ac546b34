import { expect, test } from 'vitest'
import { connectorConfig } from '../../test/support/kafka/connect.ts'
import { settingProblems } from './doctor-connect.ts'

const wanted = {
  prefix: 'crm',
  slot: 'crm_debezium',
  publication: 'crm_debezium',
  tables: ['app.company', 'rescore.features_company'],
}
const good = connectorConfig({ ...wanted, url: 'postgresql://u:p@h:1/d', database: 'd' })
const messages = (settings: Readonly<Record<string, string>>) =>
  settingProblems({ ...good, ...settings }, wanted).map(({ message }) => message)

test('of the connector that the guide shows nothing is wrong', () => {
  expect(settingProblems(good, wanted)).toEqual([])
})

test.each([
  [{ 'slot.name': 'other' }, /slot\.name is other; RESCORE_SLOT is crm_debezium/],
  [{ 'table.include.list': 'app[.]company' }, /leaves out rescore\.features_company/],
  [{ 'table.include.list': 'app[.].*, rescore[.]features_.*', 'schema.exclude.list': 'rescore' }, /leaves out rescore/],
  [{ 'skipped.operations': 't,d' }, /leaves out changes: skipped\.operations is t,d/],
  [{ 'heartbeat.interval.ms': '0' }, /only with the next change/],
  [{ transforms: 'a, b', 'transforms.b.type': 'io.debezium.transforms.ExtractNewRecordState' }, /transform 'b'/],
])('one that would not do is told by its setting: %j', (settings, message) => {
  expect(messages(settings)).toEqual([expect.stringMatching(message)])
})

test('as shipped it would leave truncates out and tell nothing while nothing changes', () => {
  const shipped = Object.fromEntries(
    Object.entries(good).filter(([name]) => !['skipped.operations', 'heartbeat.interval.ms'].includes(name)),
  )
  expect(settingProblems(shipped, wanted)).toHaveLength(2)
})

test('a pattern that only Java understands is taken at its word', () => {
  expect(messages({ 'table.include.list': '(?i)app.*+' })).toEqual([])
})
