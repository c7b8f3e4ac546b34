/**
 * A commit that waits for a standby is in the log, and so in the stream, long before any snapshot shows it: a piece read
 * meanwhile holds the row as it was before, and must not be put over the change.
 */
import { expect, test } from 'vitest'
import { copyBetween, sameIn } from '../../test/support/copying.ts'
import { eventually } from '../../test/support/eventually.ts'
import { type OwnServer, startOwnServer } from '../../test/support/own-server.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { defineTable, integer, text } from '../define/index.ts'
import { plant } from '../faults.ts'

const notes = defineTable({ name: 'shop.notes', key: 'id', columns: { id: integer().notNull(), note: text() } })
const NOTES = `create schema shop; create table shop.notes (id integer primary key, note text);
  insert into shop.notes select i, 'note ' || i from generate_series(1, 60) i`

async function waitForStandby({ pool }: OwnServer, name: string): Promise<void> {
  await pool.query(`alter system set synchronous_standby_names = '${name}'`)
  await pool.query('select pg_reload_conf()')
  await eventually(async () => {
    const { rows } = await pool.query('show synchronous_standby_names')
    expect(rows).toEqual([{ synchronous_standby_names: name }])
  })
}

/** While the first piece lands a row of the last one is changed, by a commit that hangs until everything else is done. */
async function copyBesideHangingCommit(server: OwnServer, target: Awaited<ReturnType<typeof createTestDatabase>>) {
  const { pool, url } = server
  await pool.query(NOTES)
  const copy = copyBetween({ name: 'visible', source: { url, pool }, target }, [notes], { chunkRows: 20 })
  let hanging: Promise<unknown> | null = null
  let landings = 0
  const passing = copy.pass({
    faults: {
      beforeLand: async () => {
        landings += 1
        // After the notes that come before the slot and its stream.
        if (hanging !== null || landings < 4) return
        await waitForStandby(server, 'nobody')
        hanging = pool.query(`update shop.notes set note = 'hanging' where id = 55`)
        await eventually(async () => {
          const { rows } = await pool.query(`select 1 from pg_stat_activity where wait_event = 'SyncRep'`)
          expect(rows).toHaveLength(1)
        })
      },
    },
  })
  await eventually(() => (hanging === null ? Promise.reject(new Error('not yet')) : Promise.resolve()))
  await Promise.race([passing, asksForSnapshots(server, 8)])
  await waitForStandby(server, '')
  await Promise.all([passing, hanging])
}

/** It waits: the same question, again and again. */
async function asksForSnapshots({ pool }: OwnServer, times: number): Promise<void> {
  const seen = new Set<string>()
  await eventually(async () => {
    const { rows } = await pool.query<{ at: string }>(
      `select query_start::text as at from pg_stat_activity
       where application_name = 'rescore copy' and query like 'select pg_current_snapshot()%' and state = 'idle'`,
    )
    for (const { at } of rows) seen.add(at)
    expect(seen.size).toBeGreaterThanOrEqual(times)
  })
}

test('a piece waits for changes that are in the stream and not yet visible', async () => {
  await using server = await startOwnServer()
  await using target = await createTestDatabase('visible')
  await copyBesideHangingCommit(server, target)
  expect(await sameIn({ source: { url: server.url, pool: server.pool }, target }, 'shop.notes')).toBe(60)
})

test('the check of visibility notices when it is left out: the change is overwritten', async () => {
  await using server = await startOwnServer()
  await using target = await createTestDatabase('visible_planted')
  using _bug = plant('copy-visibility-not-checked')
  await copyBesideHangingCommit(server, target)
  await expect(sameIn({ source: { url: server.url, pool: server.pool }, target }, 'shop.notes')).rejects.toThrow()
})
