/** What no change wakes: first loads, other artifacts, left-over classifications; and what deploying records. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { copyOfPair } from '../../test/support/models/copy.ts'
import { pair } from '../../test/support/models/pair/model.ts'
import {
  apply,
  batchOf,
  change,
  classifications,
  graph,
  history,
  inserted,
  setting,
  sweep,
} from '../../test/support/score-setting.ts'
import { loadModels, type ModelSet } from './registry.ts'
import { createScoreStage } from './stage.ts'

let models: ModelSet
beforeAll(async () => {
  models = await loadModels([pair])
})
afterAll(async () => {
  await models[Symbol.asyncDispose]()
})

test('a truncated feature table leaves no classification without a row', async () => {
  await using s = await setting('score_truncate', models)
  await apply(s, inserted(1, 2, 3))
  expect(await sweep(s)).toBe(1)
  await s.database.query('truncate rescore.features_shop')
  await apply(s, batchOf(change({ op: 'truncate' })), 0x200n)
  expect(s.stage.sweepNeeded?.()).toBe(true)
  await sweep(s, 0x200n)
  expect(await classifications(s)).toEqual([])
  expect((await history(s)).filter(({ op }) => op === 'delete')).toHaveLength(3)
})

test('a sweep scores what was never scored and ends at once when nothing is stale', async () => {
  await using s = await setting('score_sweep', models)
  await s.database.query(`insert into rescore.features_shop (key, amount, visits, is_partner, snap_lsn, epoch)
    select key, key % 5, key % 3, key % 2 = 0, '0/10', 1 from generate_series(4, 5000) as key`)
  await sweep(s)
  expect(s.stage.counters).toMatchObject({ computed: 5_000, written: 5_000 })
  const before = await classifications(s)
  expect(await sweep(s, 0x200n)).toBe(1)
  expect(await classifications(s)).toEqual(before)
})

test('a sweep leaves a row alone that was computed silently, until its model changes', async () => {
  await using s = await setting('score_silenced', models)
  await apply(s, inserted(1))
  await s.database.query(
    `update rescore.features_shop set silenced_by = 7, computed_at = clock_timestamp(), amount = 4`,
  )
  await sweep(s)
  expect(await classifications(s)).toMatchObject([{ key: '1', label: 'quiet' }])
  await using copy = await copyOfPair()
  await copy.changeManifest({ threshold: 0.4 })
  await using second = await loadModels([copy.model])
  const next = createScoreStage({ graph, models: second, report: () => undefined })
  await next.deploy(s.database.pool)
  await sweep({ ...s, stage: next }, 0x200n)
  expect(await classifications(s)).toMatchObject([
    { key: '1', label: 'busy' },
    { key: '2', label: 'busy' },
    { key: '3', label: 'busy' },
  ])
})

test('a manifest that decides otherwise under the same version rescores exactly what the one before had scored', async () => {
  await using s = await setting('score_artifact', models)
  await apply(s, inserted(1, 2, 3))
  await using copy = await copyOfPair()
  await copy.changeManifest({ threshold: 0.9 })
  await using second = await loadModels([copy.model])
  const next = createScoreStage({ graph, models: second, report: () => undefined })
  await next.deploy(s.database.pool)
  const after = { ...s, stage: next }
  await apply(after, inserted(2), 0x180n)
  const [, done] = await classifications(s)
  await sweep(after, 0x200n)
  expect(await classifications(s)).toMatchObject([
    { key: '1', label: 'quiet', version: '1', snap_lsn: '0/200' },
    { ...done, label: 'quiet', version: '1', snap_lsn: '0/180' },
    { key: '3', label: 'quiet', version: '1', snap_lsn: '0/200' },
  ])
  expect(next.counters).toEqual({ handled: 3, computed: 3, written: 3 })
  expect((await history(s)).slice(3)).toMatchObject([
    { key: '2', op: 'update', from_label: 'busy', to_label: 'quiet' },
    { key: '3', op: 'update', from_label: 'busy', to_label: 'quiet' },
  ])
  const { rows } = await s.database.query('select version, artifact_hash from rescore.model_definition')
  expect(rows).toEqual([{ version: '1', artifact_hash: second.models[0]?.artifactHash }])
})

test('another version that decides alike renews the provenance and nothing people see', async () => {
  await using s = await setting('score_version', models)
  await apply(s, inserted(1, 2, 3))
  await using copy = await copyOfPair()
  await copy.changeManifest({ version: '2' })
  await using second = await loadModels([copy.model])
  const events: unknown[] = []
  const next = createScoreStage({ graph, models: second, report: (event) => events.push(event) })
  await sweep({ ...s, stage: next }, 0x200n)
  expect((await classifications(s)).map(({ key, label, version }) => [key, label, version])).toEqual([
    ['1', 'quiet', '2'],
    ['2', 'busy', '2'],
    ['3', 'busy', '2'],
  ])
  expect(await history(s)).toHaveLength(3)
  expect(next.counters).toEqual({ handled: 3, computed: 3, written: 3 })
  expect(events).toEqual([])
})

test('deploying the same models again changes nothing; without feature tables it is refused', async () => {
  await using s = await setting('score_deploy', models)
  const deployed = () => s.database.query('select *, xmin::text from rescore.model_definition')
  const before = await deployed()
  await s.stage.deploy(s.database.pool)
  expect((await deployed()).rows).toEqual(before.rows)
  await s.database.query('drop table rescore.features_shop')
  await expect(s.stage.deploy(s.database.pool)).rejects.toMatchObject({ code: 'MODEL_FEATURES_MISSING', fate: 'stop' })
})
