/** The stage against a real database: what it writes, what it leaves alone, and what it never overwrites. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pair } from '../../test/support/models/pair/model.ts'
import {
  apply,
  batchOf,
  change,
  classifications,
  history,
  inserted,
  setting,
  sweep,
} from '../../test/support/score-setting.ts'
import { plant } from '../faults.ts'
import { loadModels, type ModelSet } from './registry.ts'

let models: ModelSet
beforeAll(async () => {
  models = await loadModels([pair])
})
afterAll(async () => {
  await models[Symbol.asyncDispose]()
})

test('a first load is scored with its provenance, its history and an event per entity', async () => {
  await using s = await setting('score_first', models)
  await apply(s, inserted(1, 2, 3))
  expect(await classifications(s)).toMatchObject([
    { key: '1', label: 'quiet', probability: 0.2689, features_lsn: '0/10', snap_lsn: '0/100', version: '1' },
    { key: '2', label: 'busy', probability: 0.5 },
    { key: '3', label: 'busy', probability: 0.8808 },
  ])
  expect((await history(s))[2]).toEqual({
    key: '3',
    op: 'insert',
    from_label: null,
    to_label: 'busy',
    features_lsn: '0/10',
  })
  expect(s.events).toMatchObject([
    { type: 'scored', model: 'pair', entity: 'shop', key: '1', from: null, sourceAtMs: null },
    { type: 'scored', key: '2', sourceAtMs: Date.parse('2026-01-02T03:04:05.678Z') },
    { type: 'scored', key: '3' },
  ])
  expect(s.stage.counters).toEqual({ handled: 3, computed: 3, written: 3 })
})

const silentUpdate = (key: number, by: string | null, changed: readonly string[]) =>
  batchOf(change({ op: 'update', before: { key: `${key}` }, after: { key: `${key}`, silenced_by: by }, changed }))

test('a silent write wakes no model; what ends the silence does, and so does a change whose row was silenced after it', async () => {
  await using s = await setting('score_silent', models)
  await apply(s, inserted(1, 2, 3))
  const before = await classifications(s)
  await s.database.query(
    `update rescore.features_shop set amount = 4, snap_lsn = '0/150', silenced_by = 7 where key = 1`,
  )
  expect(s.stage.plan(silentUpdate(1, '7', ['amount', 'silenced_by']))).toBeNull()
  expect(s.stage.plan(batchOf(change({ after: { key: '9', silenced_by: '7' } })))).toBeNull()
  await sweep(s, 0x180n)
  expect(await classifications(s)).toEqual(before)
  await apply(s, silentUpdate(1, null, ['amount']), 0x200n)
  expect((await classifications(s))[0]).toMatchObject({ key: '1', label: 'busy', features_lsn: '0/150' })
  await s.database.query(
    `update rescore.features_shop set amount = 0, snap_lsn = '0/250', silenced_by = 8 where key = 1`,
  )
  await s.database.query(`update rescore.features_shop set snap_lsn = '0/260', silenced_by = null where key = 1`)
  await apply(s, silentUpdate(1, null, ['silenced_by', 'snap_lsn']), 0x300n)
  expect((await classifications(s))[0]).toMatchObject({ key: '1', label: 'quiet', features_lsn: '0/260' })
})

test('the same batch again infers and writes nothing', async () => {
  await using s = await setting('score_again', models)
  await apply(s, inserted(1, 2, 3))
  const before = await classifications(s)
  await apply(s, inserted(1, 2, 3), 0x200n)
  expect(await classifications(s)).toEqual(before)
  expect(await history(s)).toHaveLength(3)
  expect(s.events).toHaveLength(3)
  expect(s.stage.counters).toEqual({ handled: 6, computed: 3, written: 3 })
})

test('a label that flips is written with what it was before, and only its row', async () => {
  await using s = await setting('score_flip', models)
  await apply(s, inserted(1, 2, 3))
  const before = await classifications(s)
  await s.database.query(`update rescore.features_shop set amount = 4, snap_lsn = '0/150' where key = 1`)
  const updated = change({ op: 'update', before: { key: '1' }, after: { key: '1' }, changed: ['amount', 'snap_lsn'] })
  await apply(s, batchOf(updated), 0x200n)
  const after = await classifications(s)
  expect(after[0]).toMatchObject({ label: 'busy', probability: 0.8808, features_lsn: '0/150', snap_lsn: '0/200' })
  expect(after.slice(1)).toEqual(before.slice(1))
  expect((await history(s)).slice(3)).toMatchObject([
    { key: '1', op: 'update', from_label: 'quiet', to_label: 'busy', features_lsn: '0/150' },
  ])
  expect(s.events.at(-1)).toMatchObject({ key: '1', from: { label: 'quiet' }, to: { label: 'busy' } })
})

test('inputs that move without moving the score renew the provenance and nothing people see', async () => {
  await using s = await setting('score_provenance', models)
  await apply(s, inserted(3))
  // A missing amount counts as 2: another input row, the same score.
  await s.database.query(`update rescore.features_shop set amount = 2, snap_lsn = '0/150' where key = 3`)
  await apply(s, inserted(3), 0x200n)
  expect(await classifications(s)).toMatchObject([{ label: 'busy', features_lsn: '0/150', snap_lsn: '0/200' }])
  expect(await history(s)).toHaveLength(1)
  expect(s.events).toHaveLength(1)
  expect(s.stage.counters).toEqual({ handled: 2, computed: 2, written: 2 })
})

test('a change of columns no model reads means nothing', async () => {
  await using s = await setting('score_irrelevant', models)
  const update = (changed: readonly string[] | null) =>
    s.stage.plan(batchOf(change({ op: 'update', before: { key: '1' }, after: { key: '1' }, changed })))
  expect(update(['colour', 'snap_lsn', 'epoch', 'source_lsn', 'source_at', 'computed_at'])).toBeNull()
  expect(s.stage.plan(batchOf(change({ table: 'crm.shops', after: { key: '1' } })))).toBeNull()
  for (const changed of [['visits'], ['colour', 'is_partner'], ['key'], null]) {
    expect([...(update(changed)?.keys.values() ?? [])]).toEqual([new Set(['1'])])
  }
})

test('an older snapshot never overwrites a newer classification, nor does it leave history', async () => {
  await using s = await setting('score_guard', models)
  await apply(s, inserted(1), 0x200n)
  const before = await classifications(s)
  await s.database.query('update rescore.features_shop set amount = 4 where key = 1')
  await apply(s, inserted(1), 0x1ffn)
  expect(await classifications(s)).toEqual(before)
  await s.database.query('delete from rescore.features_shop where key = 1')
  await apply(s, batchOf(change({ op: 'delete', before: { key: '1' } })), 0x1ffn)
  expect(await classifications(s)).toEqual(before)
  expect(await history(s)).toHaveLength(1)
})

test('without the guard, an older snapshot would overwrite', async () => {
  using _ = plant('no-version-guard')
  await using s = await setting('score_no_guard', models)
  await apply(s, inserted(1), 0x200n)
  await s.database.query('update rescore.features_shop set amount = 4 where key = 1')
  await apply(s, inserted(1), 0x1ffn)
  expect(await classifications(s)).toMatchObject([{ label: 'busy', snap_lsn: '0/1FF' }])
})

test('a feature row that goes takes its classification along, under the step in which it went', async () => {
  await using s = await setting('score_delete', models)
  await apply(s, inserted(1, 2))
  await s.database.query('delete from rescore.features_shop where key = 1')
  await s.database.query(`insert into rescore.feature_history
    (entity, key, op, causes, cause_count, epoch, snap_lsn, valid_at) values ('shop', '1', 'delete', '[]', 0, 1, '0/180', now())`)
  await apply(s, batchOf(change({ op: 'delete', before: { key: '1' } })), 0x200n)
  expect(await classifications(s)).toMatchObject([{ key: '2' }])
  expect((await history(s)).at(-1)).toMatchObject({
    key: '1',
    op: 'delete',
    from_label: 'quiet',
    to_label: null,
    features_lsn: '0/180',
  })
})

test('an entity that gets no finite score keeps its classification and is told of; its neighbours go through', async () => {
  await using s = await setting('score_finite', models)
  await s.database.query('alter table rescore.features_shop alter visits type double precision')
  await apply(s, inserted(1, 2))
  const [before] = await classifications(s)
  // Beyond float32 in both directions, so that the sum inside the model is not a number.
  await s.database.query('update rescore.features_shop set amount = 1e300, visits = -1e300 where key = 1')
  await s.database.query('update rescore.features_shop set amount = 4 where key = 2')
  await apply(s, inserted(1, 2), 0x200n)
  expect(await classifications(s)).toMatchObject([before, { key: '2', label: 'busy', snap_lsn: '0/200' }])
  expect(s.events.filter(({ type }) => type === 'failed')).toMatchObject([
    { code: 'MODEL_NOT_FINITE', message: expect.stringContaining("the first '1'") },
  ])
  expect(await history(s)).toHaveLength(3)
})
