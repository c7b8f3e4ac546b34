import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import {
  append,
  applied,
  barrier,
  copying,
  NAME,
  prepared,
  reflectedUntil,
  row,
  start,
  writeAll,
} from '../../test/support/stage.ts'
import { RescoreError } from '../errors.ts'
import { plant } from '../faults.ts'
import { EmbeddedLog } from './embedded/embedded-log.ts'
import { START } from './position.ts'
import { readStored } from './stage-position.ts'

test('an error of fate stop ends the stage, and leaves neither effect nor position', async () => {
  await using db = await prepared()
  const failure = new RescoreError({ code: 'TEST_STOP', fate: 'stop', message: 'planted', mend: 'none' })
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      throw failure
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await expect(running.done).rejects.toBe(failure)
  expect(await applied(db.pool)).toEqual([])
  expect((await readStored(db.pool, NAME)).position).toEqual(START)
  expect(running.log.confirmableLsn()).toBeNull()
})

test('a position moved by another process fences this one before anything is applied', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  await db.query(`update rescore.stage_position set lsn = '0/FF' where stage = $1`, [NAME])
  await append(running.log, 200, [row(200)])
  await expect(running.done).rejects.toMatchObject({ code: 'LOG_FENCED', fate: 'stop' })
  expect(await applied(db.pool)).toEqual(['100.0'])
})

test('a position moved by another process in the middle of a batch fences this one too', async () => {
  await using db = await prepared()
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      await db.query(`update rescore.stage_position set lsn = '0/FF' where stage = $1`, [NAME])
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await expect(running.done).rejects.toMatchObject({ code: 'LOG_FENCED', fate: 'stop' })
  expect(await applied(db.pool)).toEqual([])
})

test('whoever takes a stage over fences the one before, whichever of the two moves next', async () => {
  await using db = await prepared()
  await using zombie = start(db.pool, copying())
  await append(zombie.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  await using successor = start(db.pool, copying())
  await eventually(async () => {
    const { rows } = await db.query<{ fence: bigint }>('select fence from rescore.stage_position where stage = $1', [
      NAME,
    ])
    expect(rows).toEqual([{ fence: 2n }])
  })
  await append(zombie.log, 200, [row(200)])
  await expect(zombie.done).rejects.toMatchObject({ code: 'LOG_FENCED', fate: 'stop' })
  await append(successor.log, 200, [row(200)])
  await reflectedUntil(db.pool, 200)
  expect(await applied(db.pool)).toEqual(['100.0', '200.0'])
})

test('a batch whose paths were followed in a newer snapshot is vouched for once everything in it was handled', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying({ looksBeyond: () => true }))
  await append(running.log, 100, [row(100)])
  await eventually(async () => expect(await applied(db.pool)).toEqual(['100.0']))
  expect((await readStored(db.pool, NAME)).reflectedLsn).toBe(0n)
  // Where the barrier that the stage asked for comes through: behind all that its snapshot held.
  const { rows } = await db.query<{ lsn: bigint }>(`select (pg_current_wal_insert_lsn() - '0/0')::bigint as lsn`)
  const behind = Number(rows[0]?.lsn ?? 0n)
  await append(running.log, behind, [barrier(behind)])
  await reflectedUntil(db.pool, behind)
})

test('a transaction handed over in pieces is vouched for with its last entry, not before', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100)])
  await reflectedUntil(db.pool, 100)
  await append(running.log, 200, [row(200, 0), row(200, 1)], false)
  await eventually(async () => expect(await applied(db.pool)).toHaveLength(3))
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect(await readStored(db.pool, NAME)).toEqual({ position: { lsn: 200n, index: 1 }, reflectedLsn: 100n })
  await append(running.log, 200, [])
  await reflectedUntil(db.pool, 200)
})

test('a barrier and a change nobody reads make the position move; changes of Rescore itself do not', async () => {
  await using db = await prepared()
  await using running = start(db.pool, copying())
  await append(running.log, 100, [row(100, 0, { table: 'rescore.features_t' })])
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  await append(running.log, 200, [barrier(200)])
  await reflectedUntil(db.pool, 200)
  await append(running.log, 300, [row(300, 0, { table: 'public.unread' })])
  await reflectedUntil(db.pool, 300)
  const { rows: before } = await db.query('select xmin::text from rescore.stage_position')
  await append(running.log, 400, [
    row(400, 0, { table: 'rescore.stage_position', after: { stage: NAME, reflected_lsn: '0/12C' } }),
  ])
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect((await db.query('select xmin::text from rescore.stage_position')).rows).toEqual(before)
})

test('the reflected position stands still while stale rows are swept, and then takes in all that was applied', async () => {
  await using db = await prepared()
  let left = true
  await using running = start(db.pool, copying({ sweep: () => Promise.resolve(left) }))
  await append(running.log, 100, [row(100)])
  await append(running.log, 200, [barrier(200)])
  await eventually(async () => expect(await applied(db.pool)).toEqual(['100.0']))
  await eventually(() => expect(running.log.backlog(NAME)).toBe(0))
  expect((await readStored(db.pool, NAME)).reflectedLsn).toBe(0n)
  left = false
  await reflectedUntil(db.pool, 200)
})

test('a failed batch is not vouched for by the sweep that comes between', async () => {
  await using db = await prepared()
  const seen: bigint[] = []
  let [failures, swept] = [3, 0]
  const stage = copying({
    apply: async (entries, context) => {
      await writeAll(entries, context)
      if (failures === 0) return
      failures -= 1
      throw new RescoreError({ code: 'TEST_RETRY', fate: 'retry', message: 'planted', mend: 'none' })
    },
    sweep: async () => {
      swept += 1
      seen.push((await readStored(db.pool, NAME)).reflectedLsn)
      return swept < 3
    },
  })
  const log = new EmbeddedLog({ stages: new Map([[NAME, START]]) })
  for (let lsn = 100; lsn <= 500; lsn += 100) await append(log, lsn, [row(lsn)])
  await using _running = start(db.pool, stage, { log, maxEntries: 1 })
  await reflectedUntil(db.pool, 500)
  expect(await applied(db.pool)).toHaveLength(5)
  expect(seen.every((lsn) => lsn === 0n)).toBe(true)
})

test('the position committed before the effects is noticed: a failure between loses the batch', async () => {
  using _bug = plant('position-before-effects')
  await using db = await prepared()
  let failures = 1
  const stage = copying({
    apply: async (entries, context) => {
      if (failures > 0) {
        failures -= 1
        throw new RescoreError({ code: 'TEST_RETRY', fate: 'retry', message: 'planted', mend: 'none' })
      }
      await writeAll(entries, context)
    },
  })
  await using running = start(db.pool, stage)
  await append(running.log, 100, [row(100)])
  await append(running.log, 200, [row(200)])
  await reflectedUntil(db.pool, 200)
  expect(await applied(db.pool)).not.toContain('100.0')
})
