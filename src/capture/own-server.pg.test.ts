/** What only shows on a server of its own: its settings, and that nothing is written when nothing happens. */
import { expect, test } from 'vitest'
import { captureTables, setupOf } from '../../test/support/capture.ts'
import { eventually } from '../../test/support/eventually.ts'
import { type OwnServer, startOwnServer } from '../../test/support/own-server.ts'
import { EmbeddedLog } from '../log/embedded/embedded-log.ts'
import { START } from '../log/position.ts'
import type { Stage } from '../log/stage.ts'
import { runStage } from '../log/stage-runner.ts'
import { Capture } from './capture.ts'
import { ensureCapture } from './slot.ts'

/** The next transaction id, and the last status frame of the slot's reader. */
async function pulse(server: OwnServer): Promise<{ xid: string; reply: string | null }> {
  const { rows } = await server.pool.query<{ xid: string; reply: string | null }>(
    `select pg_snapshot_xmax(pg_current_snapshot())::text as xid, (select max(reply_time)::text from pg_stat_replication) as reply`,
  )
  return rows[0] ?? { xid: '', reply: null }
}

/** Waits until this many status frames went by without a single transaction on the whole server. */
async function atRest(server: OwnServer, frames: number): Promise<void> {
  await eventually(async () => {
    const before = await pulse(server)
    let last = before.reply
    for (let seen = 0; seen < frames; seen += 1) {
      last = await eventually(async () => {
        const { reply } = await pulse(server)
        if (reply === null || reply === last) throw new Error('No status frame yet.')
        return reply
      })
    }
    expect((await pulse(server)).xid).toBe(before.xid)
  })
}

/** Writes one derived row for each source row, as recompute and score do. */
function deriving(name: string, upstream: string | null, from: string, to: string): Stage<readonly string[]> {
  return {
    name,
    upstream,
    deploy: () => Promise.resolve(),
    plan: ({ entries }) => {
      const ids = entries.flatMap((entry) =>
        entry.kind === 'change' && entry.table === from && typeof entry.after?.id === 'string' ? [entry.after.id] : [],
      )
      return ids.length === 0 ? null : ids
    },
    apply: async (ids, { client }) => {
      await client.query(`insert into ${to} select unnest($1::integer[]) on conflict do nothing`, [ids])
    },
    sweep: () => Promise.resolve(false),
  }
}

test('capture and two stages that feed each other come to rest, each vouching for all that happened', async () => {
  await using server = await startOwnServer()
  const { pool, url } = server
  const tables = ['public.t', 'public.unread', 'rescore.features_t', 'rescore.stage_position']
  await pool.query(`create table public.t (id integer primary key); create table public.unread (id integer primary key);
    create table rescore.features_t (id integer primary key); create table rescore.labels_t (id integer primary key)`)
  const setup = setupOf('rest', tables)
  await ensureCapture(pool, setup)
  const ending = new AbortController()
  const { signal } = ending
  const log = new EmbeddedLog({
    stages: new Map([
      ['recompute', START],
      ['score', START],
    ]),
  })
  const capture = new Capture({
    pool,
    url,
    slot: setup.slot,
    publication: setup.publication,
    log,
    signal,
    confirmEveryMs: 10,
    statusEveryMs: 30,
  })
  const shared = { pool, log, signal, report: () => undefined }
  const running = [
    capture.run(),
    runStage({ ...shared, stage: deriving('recompute', null, 'public.t', 'rescore.features_t') }),
    runStage({ ...shared, stage: deriving('score', 'recompute', 'rescore.features_t', 'rescore.labels_t') }),
  ]
  try {
    await pool.query('insert into public.t select generate_series(1, 3000)')
    await eventually(async () => {
      const { rows } = await pool.query('select count(*)::integer as labels from rescore.labels_t')
      expect(rows).toEqual([{ labels: 3000 }])
    })
    await atRest(server, 10)
    // A change that no stage works on is vouched for as well, and then all is quiet again.
    const { rows: before } = await pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    await pool.query('insert into public.unread values (1)')
    await eventually(async () => {
      const { rows } = await pool.query(
        'select stage from rescore.stage_position where reflected_lsn >= $1::pg_lsn order by stage',
        [before[0]?.lsn],
      )
      expect(rows).toEqual([{ stage: 'recompute' }, { stage: 'score' }])
    })
    await atRest(server, 10)
  } finally {
    ending.abort(new Error('The test has ended.'))
    await Promise.all(running.map((part) => part.catch((error: unknown) => expect(error).toBe(signal.reason))))
  }
})

test('a slot that PostgreSQL invalidated is refused with its reason', async () => {
  await using server = await startOwnServer({
    max_slot_wal_keep_size: '1MB',
    max_wal_size: '32MB',
    min_wal_size: '32MB',
  })
  const { pool, url } = server
  await pool.query(
    'create table public.t (id integer primary key); create table public.other (id integer, filler text)',
  )
  const setup = setupOf('invalidated', ['public.t'])
  const capture = await captureTables({ name: 'invalidated', pool, url }, ['public.t'])
  await capture.stop()
  await eventually(async () => {
    await pool.query(`insert into public.other select i, repeat(md5(i::text), 20) from generate_series(1, 30000) i`)
    await pool.query('select pg_switch_wal()')
    await pool.query('checkpoint')
    const { rows } = await pool.query('select wal_status from pg_replication_slots')
    expect(rows).toEqual([{ wal_status: 'lost' }])
  })
  await expect(ensureCapture(pool, setup)).rejects.toMatchObject({
    code: 'CAPTURE_SLOT_LOST',
    message: expect.stringContaining('wal_removed'),
    mend: expect.stringContaining('max_slot_wal_keep_size'),
  })
})

test('a server whose wal_level is not logical is refused with the mend', async () => {
  await using server = await startOwnServer({ wal_level: 'replica' })
  await expect(ensureCapture(server.pool, setupOf('level', []))).rejects.toMatchObject({
    code: 'CAPTURE_WAL_LEVEL',
    mend: expect.stringContaining("wal_level = 'logical'"),
  })
})
