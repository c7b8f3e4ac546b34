/** The checker is checked: each thing that can be wrong is made wrong by hand, and verify must name it and nothing else. */
import { expect, test } from 'vitest'
import { catchUp } from '../../test/support/catch-up.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { BROKEN, COUNT, fillShop, graph, pair } from '../../test/support/shop.ts'
import { createRecomputeStage } from '../recompute/stage.ts'
import { type LoadedModel, loadModels } from '../score/registry.ts'
import { createScoreStage } from '../score/stage.ts'
import { type VerifyReport, verify } from './verify.ts'

const { signal } = new AbortController()

const DERIVED = [
  'features_account',
  'definition',
  'model_definition',
  'feature_history',
  'classification',
  'classification_history',
  'quarantine',
]

/** Keeps copies of everything derived; what comes back brings them back. */
async function keepCopies({ query }: TestDatabase): Promise<() => Promise<void>> {
  await query(DERIVED.map((table) => `create table public.${table} as table rescore.${table}`).join(';'))
  return async () => {
    const back = DERIVED.map(
      (table) => `insert into rescore.${table} overriding system value select * from public.${table}`,
    )
    await query(`truncate ${DERIVED.map((table) => `rescore.${table}`).join(', ')}; ${back.join(';')}`)
  }
}

/** [what is done by hand, to be reported as: kind key what] */
const WRONG: readonly (readonly [string, readonly string[]])[] = [
  ['update rescore.features_account set visits = visits + 1 where key = 7', ['feature-value 7 visits']],
  ['update rescore.features_account set visits = null where key = 107', ['feature-value 107 visits']],
  [`update rescore.features_account set mean = mean * (1 + 1e-9) where key = 6`, ['feature-value 6 mean']],
  ['delete from rescore.features_account where key = 8', ['feature-row-missing 8 null']],
  [
    `insert into rescore.features_account (key, snap_lsn, epoch) values (9001, '0/1', 1)`,
    ['feature-row-extra 9001 null'],
  ],
  ['update rescore.features_account set epoch = 0 where key = 9', ['feature-stale 9 null']],
  [`update rescore.definition set version = 2 where feature = 'visits'`, ['definition null visits']],
  [`delete from rescore.definition where feature = 'mean'`, ['definition null mean']],
  [`insert into rescore.definition values ('account', 'gone', 1, '', 1)`, ['definition null gone']],
  [`update rescore.model_definition set artifact_hash = 'other'`, ['definition null pair']],
  [
    `with old as (update rescore.classification set model = 'old' where key = '31')
     insert into rescore.model_definition values ('old', 'account', '1', '', '{}')`,
    ['definition null old', 'classification-missing 31 pair'],
  ],
  [`delete from rescore.classification where key = '10'`, ['classification-missing 10 pair']],
  [
    `insert into rescore.classification (model, key, entity, label, probability, probabilities, model_version, artifact_hash, fingerprint, features_lsn, snap_lsn)
     select model, 'x9002', entity, label, probability, probabilities, model_version, artifact_hash, fingerprint, features_lsn, snap_lsn from rescore.classification where key = '1'`,
    ['classification-extra x9002 pair'],
  ],
  [
    `update rescore.classification set model = 'gone' where key = '30'`,
    ['classification-extra 30 gone', 'classification-missing 30 pair'],
  ],
  [
    `update rescore.classification set label = case label when 'busy' then 'quiet' else 'busy' end where key = '11'`,
    ['label 11 pair'],
  ],
  [
    `update rescore.classification set probability = probability + 1e-3, probabilities = array[probabilities[1] - 1e-3, probabilities[2] + 1e-3] where key = '12'`,
    ['probability 12 pair'],
  ],
  [`update rescore.classification set probabilities[1] = 'NaN' where key = '112'`, ['probability 112 pair']],
  [`update rescore.classification set artifact_hash = 'other' where key = '13'`, ['provenance 13 pair']],
  [`update rescore.classification set model_version = '0' where key = '14'`, ['provenance 14 pair']],
  [`update rescore.classification set fingerprint = '' where key = '15'`, ['provenance 15 pair']],
  [`delete from rescore.feature_history where key = '16'`, ['history 16 null']],
  [
    `update rescore.feature_history set changed = jsonb_set(changed::jsonb, '{visits,to}', '99') where key = '17'`,
    ['history 17 null'],
  ],
  [
    `insert into rescore.feature_history (entity, key, changed, op, causes, cause_count, epoch, snap_lsn, valid_at)
     values ('account', '18', '{"visits": {"from": 77, "to": 2}}', 'update', '[]', 0, 1, '0/101', now())`,
    ['history 18 null'],
  ],
  [`delete from rescore.classification_history where key = '19'`, ['history 19 pair']],
  [`update rescore.classification_history set to_probability = 0.123 where key = '21'`, ['history 21 pair']],
  ['delete from rescore.quarantine', [`quarantine ${BROKEN} initial`]],
  [
    `insert into rescore.quarantine values ('account', '22', 'initial', 'FEATURE_THREW', 'no reason', 1)`,
    ['quarantine 22 initial'],
  ],
  [
    `insert into rescore.quarantine values ('account', '9003', 'initial', 'FEATURE_THREW', '', 1)`,
    ['quarantine 9003 initial'],
  ],
]

/** What must not be reported. */
const RIGHT: readonly string[] = [
  `update rescore.classification set probability = probability + 1e-8, probabilities[2] = probabilities[2] + 1e-8 where key = '23'`,
  `with kept as (update rescore.features_account set mean = mean * (1 + 1e-13), mean_text = (mean * (1 + 1e-13))::text where key = 26 returning *)
   insert into rescore.feature_history (entity, key, changed, op, causes, cause_count, epoch, snap_lsn, valid_at)
   select 'account', '26', jsonb_build_object('mean', jsonb_build_object('from', c.mean, 'to', kept.mean), 'mean_text', jsonb_build_object('from', c.mean_text, 'to', kept.mean_text)),
     'update', '[]', 0, 1, '0/101', now() from kept join public.features_account c using (key)`,
  `update rescore.definition set hash = 'other'`,
]

const named = (report: VerifyReport) =>
  report.differences.map(({ kind, entity, key, what }) => {
    expect(entity).toBe('account')
    return `${kind} ${key} ${what}`
  })

test('everything made wrong by hand is named with its kind, entity and key, and nothing else is', async () => {
  await using database = await createTestDatabase('verify')
  await using models = await loadModels([pair])
  const [loaded] = models.models
  if (loaded === undefined) throw new Error('The model is not loaded.')
  await fillShop(database)
  const report = () => undefined
  const stages = [createRecomputeStage({ graph, report, strict: true }), createScoreStage({ graph, models, report })]
  await catchUp(database.pool, stages)
  const restore = await keepCopies(database)
  const { pool, url } = database
  const look = (sample: number | null = null, set: { readonly models: readonly LoadedModel[] } = models) =>
    verify({ pool, url, graph, models: set, sample, signal, timeoutMs: 10_000, recheckPausesMs: [1, 2] })

  expect(await look()).toMatchObject({
    entities: COUNT,
    classifications: COUNT,
    differences: [],
    differenceCount: 0,
    isComplete: true,
    reflectedLsn: expect.stringMatching(/^[0-9A-F]+\/[0-9A-F]+$/),
  })
  expect(await look(50)).toMatchObject({ entities: 50, differenceCount: 0 })

  for (const [statement, expected] of WRONG) {
    const { rowCount } = await database.query(statement)
    expect(rowCount, statement).toBeGreaterThan(0)
    expect(named(await look()), statement).toEqual(expected)
    await restore()
  }
  for (const statement of RIGHT) {
    const { rowCount } = await database.query(statement)
    expect(rowCount, statement).toBeGreaterThan(0)
    expect(named(await look()), statement).toEqual([])
    await restore()
  }

  await database.query('update rescore.features_account set visits = visits + 1, amount = amount + 1')
  const many = await look()
  expect(many).toMatchObject({ differenceCount: 2 * (COUNT - 1), isComplete: true })
  expect(many.differences).toHaveLength(1_000)
  await restore()

  // An entity deleted at the source, which no stage has heard of.
  await database.query('delete from shop.account where id = 600')
  expect(named(await look())).toEqual(['feature-row-extra 600 null', 'classification-extra 600 pair'])
  await database.query(`insert into shop.account values (600, 'name 600', true)`)
  expect((await look()).differenceCount).toBe(0)

  // Wrong in the first snapshot, mended while it is looked at, as a stage at work would do.
  await database.query('update rescore.features_account set visits = 50 where key = 7')
  let looks = 0
  const infer: LoadedModel['infer'] = async (matrix, rows) => {
    looks += 1
    if (looks === 1) await database.query('update rescore.features_account set visits = 3 where key = 7')
    return loaded.infer(matrix, rows)
  }
  expect((await look(null, { models: [{ ...loaded, infer }] })).differenceCount).toBe(0)
  expect(looks).toBeGreaterThan(1)
})
