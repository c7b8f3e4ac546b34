import { afterAll, beforeAll, expect, test } from 'vitest'
import { captureTables } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { type OwnServer, startOwnServer } from '../../test/support/own-server.ts'
import { append, copying, reflectedUntil, row, start } from '../../test/support/stage.ts'
import { formatLsn } from '../db/lsn.ts'
import type { Pool } from '../db/pool.ts'
import { plant } from '../faults.ts'

/**
 * A server whose commits wait for a standby that does not exist, where they ask for one. Such a commit is in the
 * write-ahead log and durable, but neither visible to others nor answered: the two moments that are hard to hit.
 */
let waiting: OwnServer
beforeAll(async () => {
  waiting = await startOwnServer({ synchronous_commit: 'local', synchronous_standby_names: 'nobody' })
  await waiting.pool.query(
    'create table public.t (id text primary key); create table public.applied (id text, seen boolean)',
  )
})
afterAll(() => waiting[Symbol.asyncDispose]())

/** Ends the wait of a session for the standby; its commit has happened. */
async function release(pool: Pool, how: 'pg_cancel_backend' | 'pg_terminate_backend'): Promise<void> {
  await eventually(async () => {
    const { rows } = await pool.query(`select ${how}(pid) as done from pg_stat_activity where wait_event = 'SyncRep'`)
    expect(rows).toEqual([{ done: true }])
  })
}

test('a commit whose answer was lost is applied once', async () => {
  const { pool } = waiting
  await pool.query('truncate public.applied; delete from rescore.stage_position')
  let isFirst = true
  const told: string[] = []
  const stage = copying({
    committed: (entries) => told.push(...entries.map(({ position }) => formatLsn(position.lsn))),
    apply: async (entries, { client }) => {
      await client.query('insert into public.applied select unnest($1::text[])', [
        entries.map(({ position }) => formatLsn(position.lsn)),
      ])
      if (isFirst) await client.query(`set local synchronous_commit = 'on'`)
      isFirst = false
    },
  })
  await using running = start(pool, stage)
  await append(running.log, 100, [row(100)])
  await release(pool, 'pg_terminate_backend')
  await append(running.log, 200, [row(200)])
  await reflectedUntil(pool, 200)
  expect((await pool.query('select id from public.applied order by id')).rows).toEqual([{ id: '0/64' }, { id: '0/C8' }])
  expect(told).toEqual(['0/64', '0/C8'])
  expect(running.events).toContainEqual(expect.objectContaining({ type: 'failed' }))
})

/** Whether the row of a commit that was decoded before it was visible was seen by the stage. */
async function seenByStage(name: string): Promise<readonly unknown[]> {
  const { pool, url } = waiting
  await pool.query('truncate public.applied, public.t; delete from rescore.stage_position; delete from rescore.capture')
  await using capture = await captureTables({ name, pool, url }, ['public.t'])
  const stage = copying({
    name: 'reader',
    apply: async (_entries, { client }) => {
      await client.query(`insert into public.applied select 'x', exists (select from public.t)`)
    },
  })
  await using running = start(pool, stage, { log: capture.log, visibleWithinMs: 200 })
  const writer = await pool.connect()
  try {
    await writer.query(`set synchronous_commit = 'on'`)
    const writing = writer.query(`insert into public.t values ('late')`)
    await eventually(() =>
      expect(capture.log.backlog('reader') === 1 || running.events.some(({ type }) => type === 'batch')).toBe(true),
    )
    // Applied too early, or told as waiting.
    await eventually(() =>
      expect(running.events.map(({ type }) => type)).toContainEqual(expect.stringMatching(/^(batch|failed)$/)),
    )
    await release(pool, 'pg_cancel_backend')
    await writing
    await eventually(() => expect(running.events.map(({ type }) => type)).toContain('batch'))
  } finally {
    writer.release(true)
  }
  await capture.stop()
  const { rows } = await pool.query('select seen from public.applied')
  await eventually(() => pool.query('select pg_drop_replication_slot($1)', [name]))
  return [...rows, ...running.events.flatMap((event) => (event.type === 'failed' ? [event.code] : [])).slice(0, 1)]
}

test('a batch whose transaction is decoded but not yet visible waits until it is, and says so', async () => {
  expect(await seenByStage('visible')).toEqual([{ seen: true }, 'LOG_NOT_VISIBLE'])
})

test('the check of visibility notices when it is not done', async () => {
  using _bug = plant('visibility-not-checked')
  expect(await seenByStage('unchecked')).toEqual([{ seen: false }])
})
