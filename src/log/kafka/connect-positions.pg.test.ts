import { expect, test } from 'vitest'
import { NAME, prepared } from '../../../test/support/stage.ts'
import { type Pool, withTransaction } from '../../db/pool.ts'
import { readUpstream, sayOf } from './connect-positions.ts'
import { ensurePartitions } from './partitions.ts'
import { readPartitions } from './positions.ts'

const [first, second] = [0, 1].map((partition) => ({ topic: 'x.public.t', partition }))
const partitions = [first, second].flatMap((source) => source ?? [])

async function handled(pool: Pool, partition: number, nextOffset: number): Promise<void> {
  await pool.query('update rescore.stage_position set next_offset = $3 where stage = $1 and partition = $2', [
    NAME,
    partition,
    nextOffset,
  ])
}

const reflected = async (pool: Pool) => (await readPartitions(pool, NAME)).map(({ reflectedLsn }) => reflectedLsn)

const round = (lsn: bigint, ...ends: readonly bigint[]) => ({
  say: { lsn, atMs: 0 },
  ends: partitions.map((source, place) => ({ ...source, offset: ends[place] ?? 0n })),
})

test('each partition says it once it was handled up to its end, and what was said stays', async () => {
  await using db = await prepared()
  await ensurePartitions(db.pool, NAME, partitions)
  await handled(db.pool, 0, 5)
  await handled(db.pool, 1, 6)
  expect(await sayOf(db.pool, NAME, round(100n, 5n, 7n))).toBe(false)
  expect(await reflected(db.pool)).toEqual([100n, 0n])
  await handled(db.pool, 1, 9)
  expect(await sayOf(db.pool, NAME, round(100n, 5n, 7n))).toBe(true)
  expect(await sayOf(db.pool, NAME, round(50n, 5n, 7n))).toBe(true)
  expect(await reflected(db.pool)).toEqual([100n, 100n])
})

test('a partition that a worker has in hand is not waited for', async () => {
  await using db = await prepared()
  await ensurePartitions(db.pool, NAME, partitions)
  await withTransaction(db.pool, {}, async (client) => {
    await client.query('select from rescore.stage_position where stage = $1 and partition = 1 for update', [NAME])
    expect(await sayOf(db.pool, NAME, round(100n))).toBe(false)
  })
  expect(await sayOf(db.pool, NAME, round(100n))).toBe(true)
})

test('work of the stage before is told by everything it writes with, and by nothing that it says', async () => {
  await using db = await prepared()
  await ensurePartitions(db.pool, NAME, partitions)
  const seen = new Set<string>()
  const isNew = async () => {
    const { workDone } = await readUpstream(db.pool, NAME)
    const was = seen.has(workDone)
    seen.add(workDone)
    return !was
  }
  expect(await isNew()).toBe(true)
  await sayOf(db.pool, NAME, round(100n))
  await db.query(`update rescore.stage_position set reflected_lsn = '0/64' where topic = ''`)
  expect(await isNew()).toBe(false)
  // Of as many records in all as before.
  await handled(db.pool, 0, 2)
  expect(await isNew()).toBe(true)
  await handled(db.pool, 0, 1)
  await handled(db.pool, 1, 1)
  expect(await isNew()).toBe(true)
  await db.query('update rescore.shared_stage set sweeps_done = sweeps_done + 1')
  expect(await isNew()).toBe(true)
  await db.query(
    `insert into rescore.backfill (entity, policy, reason, state, total, is_total_exact) values ('c', 'all', 'asked', 'running', 1, true)`,
  )
  await isNew()
  await db.query('update rescore.backfill set gone = 1')
  expect(await isNew()).toBe(true)
})
