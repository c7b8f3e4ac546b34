/** Older and newer models beside one another. */
import { expect, test } from 'vitest'
import { copyOfPair } from '../../test/support/models/copy.ts'
import { pair } from '../../test/support/models/pair/model.ts'
import { AT, graph, setting } from '../../test/support/score-setting.ts'
import { withTransaction } from '../db/pool.ts'
import { loadModels, type ModelSet } from './registry.ts'
import { createScoreStage } from './stage.ts'

const stageOf = (models: ModelSet, isRollback = false) =>
  createScoreStage({ graph, models, report: () => undefined, isRollback })

test('models that were replaced neither score nor are deployed again until that is meant', async () => {
  await using models = await loadModels([pair])
  await using s = await setting('score_outdated', models)
  await using copy = await copyOfPair()
  await copy.changeManifest({ version: '2' })
  await using second = await loadModels([copy.model])
  const { pool } = s.database
  const admitted = (stage = s.stage) =>
    withTransaction(pool, {}, async (client) =>
      stage.admit?.({ client, snapshotLsn: AT, nowMs: 0, signal: new AbortController().signal, isShared: true }),
    )
  await admitted()
  const newer = stageOf(second)
  await newer.deploy(pool)
  await admitted(newer)
  await expect(admitted()).rejects.toMatchObject({ code: 'MODEL_NOT_DEPLOYED', fate: 'stop' })
  await expect(s.stage.deploy(pool)).rejects.toMatchObject({
    code: 'MODEL_OUTDATED',
    mend: expect.stringContaining('--rollback'),
  })
  // Without any model: what is deployed is not scored by it, and nothing of it may be passed over.
  await using none = await loadModels([])
  await expect(admitted(stageOf(none))).rejects.toMatchObject({ code: 'MODEL_NOT_DEPLOYED' })
  await admitted(newer)
  await stageOf(models, true).deploy(pool)
  await admitted()
  await expect(admitted(newer)).rejects.toMatchObject({ code: 'MODEL_NOT_DEPLOYED' })
})

test('models are not changed while a transaction scores by them', async () => {
  await using models = await loadModels([pair])
  await using s = await setting('score_held', models)
  await using copy = await copyOfPair()
  await copy.changeManifest({ version: '2' })
  await using second = await loadModels([copy.model])
  const versions = async () => (await s.database.query('select version from rescore.model_definition')).rows
  let deployed: Promise<void> | undefined
  await withTransaction(s.database.pool, {}, async (client) => {
    await s.stage.admit?.({ client, snapshotLsn: AT, nowMs: 0, signal: new AbortController().signal, isShared: true })
    deployed = stageOf(second).deploy(s.database.pool)
    await s.database.query(`insert into rescore.features_shop (key, snap_lsn, epoch) values (9, '0/10', 1)`)
    expect(await versions()).toEqual([{ version: '1' }])
  })
  await deployed
  expect(await versions()).toEqual([{ version: '2' }])
})
