/** Histories as they lie in the database. */
import { expect, test } from 'vitest'
import { writePast } from '../../test/support/past.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { withTransaction } from '../db/pool.ts'
import { readKnown, readMoves } from './entity-history.ts'
import { parseInstant } from './instant.ts'
import { readHorizon } from './read.ts'

const instant = (text: string) => parseInstant(text) ?? 0n

async function createPast(database: TestDatabase): Promise<void> {
  await writePast(database, 'shop', [
    { key: '1', op: 'insert', validAt: '2024-01-01', to: { visits: 1, colour: null } },
    { key: '1', op: 'update', validAt: '2024-02-01 12:00:00.000001+00', to: { visits: 2 } },
    { key: '1', op: 'update', validAt: '2024-01-15', recordedAt: '2024-03-01', to: { colour: 'red' } },
    { key: '2', op: 'insert', validAt: '2024-01-01', to: { visits: 9 } },
    { key: '1', op: 'delete', validAt: '2024-04-01' },
  ])
  await database.query(
    `insert into rescore.classification_history
       (model, entity, key, op, to_label, to_probability, model_version, artifact_hash, features_lsn, source_at, scored_at) values
     ('pair', 'shop', '1', 'insert', 'quiet', 0.1, '1', 'a', '0/1', '2024-01-01', '2024-01-02'),
     ('pair', 'shop', '1', 'update', 'busy', 0.9, '2', 'b', '0/1', '2024-01-01', '2024-02-02'),
     ('pair', 'shop', '1', 'delete', null, null, '2', 'b', '0/1', null, '2024-04-02')`,
  )
}

test('an entity is shown as it was known, to the microsecond', async () => {
  await using database = await createTestDatabase('history')
  await createPast(database)
  const at = async (text: string) => {
    const known = await readKnown(database.pool, 'shop', '1', instant(text))
    const values = Object.fromEntries(Object.entries(known.features).map(([name, { value }]) => [name, value]))
    return [known.exists, values, known.classifications.map(({ label }) => label)]
  }
  expect(await at('2023-12-31')).toEqual([false, {}, []])
  expect(await at('2024-01-01')).toEqual([true, { visits: 1, colour: null }, []])
  expect(await at('2024-02-01 12:00')).toEqual([true, { visits: 1, colour: null }, ['quiet']])
  expect(await at('2024-02-01 12:00:00.000001')).toEqual([true, { visits: 2, colour: null }, ['quiet']])
  expect(await at('2024-03-01')).toEqual([true, { visits: 2, colour: 'red' }, ['busy']])
  expect(await at('2024-04-01')).toEqual([false, {}, ['busy']])
  expect(await at('2024-04-02')).toEqual([false, {}, []])
  await expect(readKnown(database.pool, 'shop', '3', 0n)).rejects.toMatchObject({ code: 'CLI_UNKNOWN_ENTITY' })
})

test('what moved is listed newest recorded first, with what it was valid from', async () => {
  await using database = await createTestDatabase('history_moves')
  await createPast(database)
  const moves = await readMoves(database.pool, { entity: 'shop', key: '1', limit: 4 })
  expect(moves).toMatchObject([
    { kind: 'classification', op: 'delete', from: null, to: null },
    { kind: 'features', op: 'delete', moves: [] },
    {
      kind: 'features',
      validAt: '2024-01-15T00:00:00.000000Z',
      recordedAt: '2024-03-01T00:00:00.000000Z',
      moves: [{ feature: 'colour', from: null, to: 'red' }],
    },
    { kind: 'classification', model: 'pair', modelVersion: '2', to: { label: 'busy', probability: 0.9 } },
  ])
})

test('the horizon stays before what is stamped and not yet to be seen', async () => {
  await using database = await createTestDatabase('history_horizon')
  const { pool } = database
  await withTransaction(pool, {}, async (client) => {
    const started = await client.query<{ at: string }>('select now()::text as at')
    await client.query(
      `insert into rescore.feature_history (entity, key, op, causes, cause_count, epoch, snap_lsn, valid_at)
       values ('shop', '1', 'insert', '[]', 0, 1, '0/1', now())`,
    )
    expect(await readHorizon(pool)).toBe(instant(started.rows[0]?.at ?? ''))
  })
  const { rows } = await pool.query<{ at: string }>('select recorded_at::text as at from rescore.feature_history')
  expect(await readHorizon(pool)).toBeGreaterThan(instant(rows[0]?.at ?? ''))
})
