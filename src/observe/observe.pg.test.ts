import { expect, test } from 'vitest'
import { createTestDatabase } from '../../test/support/pg.ts'
import { explain } from './explain.ts'
import { readStatus } from './status.ts'
import { waitUntilReflected } from './wait.ts'

const { signal } = new AbortController()

test('explain ties each score to the features it was made from, newest first', async () => {
  await using database = await createTestDatabase('explain')
  const cause = {
    table: 'crm.company',
    key: '1',
    op: 'update',
    column: 'size',
    from: '12',
    to: '15',
    lsn: '0/20',
    committedAtMs: 1,
  }
  await database.query(
    `insert into rescore.feature_history (entity, key, changed, op, causes, cause_count, epoch, snap_lsn, valid_at) values
     ('company', '1', '{"team": {"to": 12}}', 'insert', '[]', 0, 1, '0/10', '2026-01-01'),
     ('company', '1', '{"team": {"from": 12, "to": 15}}', 'update', $1, 3, 1, '0/30', '2026-01-02'),
     ('company', '2', '{"team": {"from": 1, "to": 2}}', 'update', '[]', 0, 1, '0/30', '2026-01-02')`,
    [JSON.stringify([cause])],
  )
  await database.query(
    `insert into rescore.classification_history
       (model, entity, key, op, from_label, from_probability, to_label, to_probability, model_version, artifact_hash, features_lsn, scored_at) values
     ('growth', 'company', '1', 'insert', null, null, 'steady', 0.1, '1.0.0', 'a', '0/10', '2026-01-01'),
     ('growth', 'company', '1', 'update', 'steady', 0.1, 'growing', 0.6, '1.0.0', 'a', '0/30', '2026-01-02'),
     ('growth', 'company', '1', 'update', 'growing', 0.6, 'growing', 0.7, '2.0.0', 'b', '0/30', '2026-02-01')`,
  )
  const { steps } = await explain(database.pool, { entity: 'company', key: '1', limit: 10 })
  expect(steps.map((step) => step.moves)).toEqual([
    [{ feature: 'team', from: 12, to: 15 }],
    [{ feature: 'team', from: null, to: 12 }],
  ])
  expect(steps[0]).toMatchObject({ causes: [cause], causesLeftOut: 2 })
  expect(steps[0]?.scores.map((score) => [score.modelVersion, score.from?.label, score.to?.label])).toEqual([
    ['2.0.0', 'growing', 'growing'],
    ['1.0.0', 'steady', 'growing'],
  ])
  await expect(explain(database.pool, { entity: 'company', key: '9', limit: 10 })).rejects.toMatchObject({
    code: 'CLI_UNKNOWN_ENTITY',
  })
})

test('wait returns on the notification that follows the last stage, and names who is behind in time', async () => {
  await using database = await createTestDatabase('wait')
  const wait = (timeoutMs: number) => waitUntilReflected({ url: database.url, timeoutMs, signal })
  await expect(wait(100)).rejects.toMatchObject({ code: 'CLI_NO_STAGES' })
  await database.query(
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values
     ('recompute', '0/0', 0, 'FFFF/0'), ('score', '0/0', 0, '0/0')`,
  )
  await expect(wait(200)).rejects.toMatchObject({
    code: 'CLI_WAIT_TIMEOUT',
    message: expect.stringMatching(/score at 0\/0/),
  })

  let isDone = false
  const waiting = wait(30_000).then((result) => {
    isDone = true
    return result
  })
  // A notification without progress must not end the wait.
  await database.query(`select pg_notify('rescore_reflected', 'recompute')`)
  expect(isDone).toBe(false)
  await database.query(`update rescore.stage_position set reflected_lsn = 'FFFF/0' where stage = 'score'`)
  await database.query(`select pg_notify('rescore_reflected', 'score')`)
  expect((await waiting).lsn).toMatch(/^[0-9A-F]+\/[0-9A-F]+$/)
})

test('status shows stages that have never measured anything without inventing figures', async () => {
  await using database = await createTestDatabase('status')
  await database.query(
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ('recompute', '0/0', 0, '0/0')`,
  )
  const status = await readStatus(database.pool)
  expect(status.slot).toBeNull()
  expect(status.stages).toMatchObject([{ stage: 'recompute', lagSeconds: null, ratePerSecond: null, lastError: null }])
  expect(status.stages[0]?.behindBytes).toBeGreaterThan(0)
})
