/** The rule in a real database: what is kept, what goes, and that nothing is lost wherever it ends. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { applyRule, writePast } from '../../test/support/past.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { ADVISORY_LOCK } from '../db/locks.ts'
import { withTransaction } from '../db/pool.ts'
import { readKnown, readMoves } from './entity-history.ts'
import { type Instant, parseInstant } from './instant.ts'
import { whileHeld } from './kept.ts'
import { readPartitions } from './partitions.ts'
import { type RetentionOptions, retain } from './retention.ts'
import { ruleOf } from './rule.ts'

const instant = (text: string) => parseInstant(text) ?? 0n
const { signal } = new AbortController()

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase('retention')
})
afterAll(() => database[Symbol.asyncDispose]())

const run = (entity: string, now: Instant, more: Partial<RetentionOptions> = {}) =>
  applyRule(database, entity, now, more)

async function past(entity: string): Promise<void> {
  await writePast(database, entity, [
    { key: '1', op: 'insert', validAt: '2024-01-03', to: { a: 1, b: 'x' } },
    { key: '1', op: 'update', validAt: '2024-02-03', to: { a: 2 } },
    { key: '1', op: 'update', validAt: '2024-06-03', to: { a: 3 } },
    { key: '2', op: 'insert', validAt: '2024-01-03', to: { a: 9 } },
    { key: '2', op: 'delete', validAt: '2024-03-03' },
    { key: '3', op: 'insert', validAt: '2024-06-04', to: { a: 5 } },
  ])
  await database.query(
    `insert into rescore.classification_history
       (model, entity, key, op, from_label, to_label, to_probability, model_version, artifact_hash, features_lsn, source_at, scored_at) values
     ('pair', $1, '1', 'insert', null, 'quiet', 0.1, '1', 'h', '0/1', '2024-01-03', '2024-01-03'),
     ('pair', $1, '1', 'update', 'quiet', 'busy', 0.9, '1', 'h', '0/1', '2024-02-03', '2024-02-03'),
     ('other', $1, '1', 'insert', null, 'yes', 0.8, '2', 'h', '0/1', null, '2024-02-04'),
     ('pair', $1, '2', 'insert', null, 'quiet', 0.2, '1', 'h', '0/1', '2024-01-03', '2024-01-03'),
     ('pair', $1, '2', 'delete', 'quiet', null, null, '1', 'h', '0/1', null, '2024-03-03'),
     ('pair', $1, '1', 'update', 'busy', 'quiet', 0.3, '1', 'h', '0/1', '2024-06-03', '2024-06-03')`,
    [entity],
  )
}

async function everythingOf(entity: string) {
  const at = (text: string) =>
    readKnown(database.pool, entity, '1', instant(text)).then(({ keptFrom: _, ...known }) => known)
  return [await at('2024-05-01'), await at('2024-06-03'), await at('2024-06-30')]
}

async function countsOf(entity: string) {
  const tables = ['feature_history', 'feature_base', 'classification_history', 'classification_base']
  const counts = await Promise.all(
    tables.map((table) =>
      database.query<{ n: number }>(`select count(*)::integer as n from rescore.${table} where entity = $1`, [entity]),
    ),
  )
  return counts.map(({ rows }) => rows[0]?.n)
}

test('values and labels stay as they were from the cut on; before it, it is said from when on there is a past', async () => {
  await past('cafe')
  const before = await everythingOf('cafe')
  const { rowsFolded } = await run('cafe', instant('2024-06-20'))
  expect(rowsFolded).toBe(9)
  expect(await countsOf('cafe')).toEqual([2, 1, 1, 2])
  expect(await everythingOf('cafe')).toEqual(before)
  expect(await readKnown(database.pool, 'cafe', '1', instant('2024-05-01'))).toMatchObject({
    keptFrom: '2024-05-01T00:00:00.000000Z',
    features: {
      a: { value: 2, validAt: '2024-02-03T00:00:00.000000Z' },
      b: { value: 'x', validAt: '2024-01-03T00:00:00.000000Z' },
    },
    classifications: [
      { model: 'other', label: 'yes' },
      { model: 'pair', label: 'busy', scoredAt: '2024-02-03T00:00:00.000000Z' },
    ],
  })
  await expect(readKnown(database.pool, 'cafe', '1', instant('2024-04-30T23:59:59.999999Z'))).rejects.toMatchObject({
    code: 'HISTORY_NOT_KEPT',
    message: expect.stringContaining('2024-05-01T00:00:00.000000Z'),
  })
  const moves = await readMoves(database.pool, { entity: 'cafe', key: '1', limit: 10 })
  expect(moves.map(({ op, recordedAt }) => `${op} ${recordedAt.slice(0, 10)}`)).toEqual([
    'update 2024-06-03',
    'update 2024-06-03',
    'base 2024-02-04',
    'base 2024-02-03',
    'base 2024-02-03',
    'base 2024-01-03',
  ])
  expect(await run('cafe', instant('2024-06-21'))).toMatchObject({ rowsFolded: 0 })
  // A month later the base takes in what has come of age, and an entity that had gone is gone.
  await run('cafe', instant('2024-08-01'))
  expect(await countsOf('cafe')).toEqual([0, 2, 0, 2])
  expect(await everythingOf('cafe').catch((error: unknown) => error)).toMatchObject({ code: 'HISTORY_NOT_KEPT' })
})

test.each(['retention:after-kept-from', 'retention:after-piece', 'retention:after-drop'])(
  'ended at %s, nothing is lost or doubled, and the next run does the rest',
  async (point) => {
    const entity = `ended_${point.replaceAll(/\W/g, '_')}`
    await past(entity)
    const before = await everythingOf(entity)
    for (let passing = 1; passing <= 3; passing += 1) {
      let left = passing
      const faults = {
        hit: (at: string) => {
          if (at === point && --left === 0) throw new Error('ended')
        },
      }
      await run(entity, instant('2024-06-20'), { faults }).catch(() => undefined)
      expect(await everythingOf(entity)).toEqual(before)
    }
    await run(entity, instant('2024-06-20'))
    expect(await everythingOf(entity)).toEqual(before)
    expect(await countsOf(entity)).toEqual([2, 1, 1, 2])
  },
)

test('months go once nothing is in them, whichever entity was the last; the past that somebody holds is left alone', async () => {
  await using own = await createTestDatabase('retention_months')
  const rule = ruleOf({ keep: '1 month', entities: { bank: '6 months', park: 'forever' } }, ['bank', 'park', 'cafe'])
  const options = { pool: own.pool, rule, now: instant('2024-06-20'), signal, share: 1 }
  const row = (validAt: string) => ({ key: '1', op: 'insert', validAt, to: { a: 1 } }) as const
  await writePast(own, 'cafe', [row('2024-02-01'), row('2024-03-01')])
  await writePast(own, 'bank', [row('2024-03-02')])
  const session = await own.pool.connect()
  const held = whileHeld(session, 'cafe', () => retain(options)).finally(() => session.release())
  const { waiting } = await held
  expect(waiting).toEqual([expect.stringContaining('cafe')])
  expect((await own.query('select from rescore.feature_base')).rows).toHaveLength(0)
  expect((await retain(options)).dropped).toEqual(['rescore.feature_history_2024_02'])
  expect((await retain({ ...options, now: instant('2024-11-30') })).dropped).toContain(
    'rescore.feature_history_2024_03',
  )
  await writePast(own, 'park', [row('2024-04-02')])
  await retain({ ...options, now: instant('2034-11-30') })
  const tables = (await readPartitions(own.pool)).map(({ table }) => table)
  expect(tables).toContain('rescore.feature_history_2024_04')
  expect(tables).not.toContain('rescore.feature_history_2024_03')
})

test('an erasure under way and a piece wait for each other, so that nothing comes back', async () => {
  await past('erased')
  let folded: Promise<unknown> = Promise.resolve()
  await withTransaction(database.pool, {}, async (client) => {
    await client.query('select pg_advisory_xact_lock($1)', [ADVISORY_LOCK.foldHistory])
    folded = run('erased', instant('2024-06-20'))
    for (const table of ['feature_history', 'classification_history']) {
      await client.query(`delete from rescore.${table} where entity = 'erased' and key = '1'`)
    }
  })
  await folded
  expect(await countsOf('erased')).toEqual([1, 0, 0, 0])
})
