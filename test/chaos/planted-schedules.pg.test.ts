/**
 * Bugs that need their own moment, each planted and each left out: with it verify finds differences, without it none.
 * The table of all bugs is in planted.pg.test.ts.
 */
import { expect, test } from 'vitest'
import { sleep } from '../../src/db/backoff.ts'
import { parseLsn } from '../../src/db/lsn.ts'
import { createClient, createPool, type Pool, withTransaction } from '../../src/db/pool.ts'
import { defineConfig } from '../../src/define/index.ts'
import { type Bug, plant } from '../../src/faults.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import type { ApplyContext } from '../../src/log/stage.ts'
import { inVisibleSnapshot } from '../../src/log/visibility.ts'
import { createRecomputeStage, type RecomputeStage } from '../../src/recompute/stage.ts'
import { catchUp } from '../support/catch-up.ts'
import { eventually } from '../support/eventually.ts'
import { change } from '../support/log-chunks.ts'
import { startOwnServer } from '../support/own-server.ts'
import { createTestDatabase } from '../support/pg.ts'
import { features } from '../support/project-features.ts'
import { createProject } from '../support/project-sql.ts'
import { calm, createChecker, type Place, slotOf, startIn } from './running.ts'
import { type ServiceChild, startChild } from './service-child.ts'

/** Moves several features of a company. */
const CHANGE = `update app.deal set stage = 'won', amount = 4.5, terms = 'short' where id = 1`

/** Long enough for what a bug does in a second; without the bug it is waited for in vain. */
async function happens(question: () => Promise<boolean>): Promise<boolean> {
  for (let attempt = 0; attempt < 120; attempt += 1) {
    if (await question()) return true
    await sleep(25)
  }
  return false
}

async function ask(pool: Pool, sql: string, values: readonly unknown[] = []): Promise<boolean> {
  const { rows } = await pool.query<{ answer: boolean }>(`select (${sql}) as answer`, [...values])
  return rows[0]?.answer === true
}

/** Holds a batch, and kills the service once the slot has passed it or never does. */
async function killWhileHeld(place: Place, service: ServiceChild, after: string): Promise<void> {
  const held = service.holdAt('recompute:before-apply')
  await place.pool.query(CHANGE)
  await held
  const { rows } = await place.pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
  await place.pool.query(after)
  const passed = 'select confirmed_flush_lsn >= $2::pg_lsn from pg_replication_slots where slot_name = $1'
  await happens(() => ask(place.pool, passed, [slotOf(place), rows[0]?.lsn]))
  service.signal('SIGKILL')
}

const SCHEDULES: readonly { bug: Bug; schedule: (place: Place, service: ServiceChild) => Promise<void> }[] = [
  // A second commit behind the held one, so that the end of the first lies before what is received.
  { bug: 'confirm-too-early', schedule: (place, service) => killWhileHeld(place, service, CHANGE) },
  // More WAL of other tables than capture leaves unconfirmed at rest.
  {
    bug: 'keep-alive-always',
    schedule: (place, service) =>
      killWhileHeld(place, service, `insert into app.unread select repeat('x', 4000) from generate_series(1, 1000)`),
  },
  {
    bug: 'position-before-effects',
    schedule: async ({ pool }, service) => {
      service.killAt('recompute:before-apply', 1)
      await pool.query(CHANGE)
    },
  },
]

test.for(SCHEDULES.flatMap((schedule) => [true, false].map((isPlanted) => ({ ...schedule, isPlanted }))))(
  '$bug is caught by a kill and a restart (planted: $isPlanted)',
  async ({ bug, schedule, isPlanted }) => {
    await using database = await createTestDatabase('schedule')
    await createProject(database.pool)
    await database.query('create table app.unread (t text); alter table app.unread alter t set storage external')
    await using checker = await createChecker()
    {
      await using service = startChild(database, isPlanted ? `bug:${bug}` : '')
      await service.running()
      await calm(database)
      await schedule(database, service)
      expect((await service.ended).signal).toBe('SIGKILL')
    }
    await using again = startChild(database)
    await again.running()
    const { differenceCount } = await checker.check(database)
    if (isPlanted) expect(differenceCount).toBeGreaterThan(0)
    else expect(differenceCount).toBe(0)
  },
)

test.for([true, false])(
  'visibility-not-checked is caught by a commit that waits for a standby (planted: %s)',
  async (isPlanted) => {
    // Only the one writer waits for a standby; PostgreSQL decodes its commit meanwhile.
    await using server = await startOwnServer({ synchronous_commit: 'local' })
    const place = { name: 'standby', url: server.url, pool: server.pool }
    await createProject(place.pool)
    await using checker = await createChecker()
    using _ = isPlanted ? plant('visibility-not-checked') : null
    await using _running = await startIn(place)
    await calm(place)
    await place.pool.query(`alter system set synchronous_standby_names = 'nobody'`)
    await place.pool.query('select pg_reload_conf()')
    await eventually(async () =>
      expect(await ask(place.pool, `current_setting('synchronous_standby_names') = 'nobody'`)).toBe(true),
    )
    const writer = createClient({ url: place.url, applicationName: 'rescore test writer' })
    await writer.connect()
    try {
      await writer.query('set synchronous_commit = on')
      const committing = writer.query(CHANGE)
      await eventually(async () =>
        expect(await ask(place.pool, `exists (select from pg_stat_activity where wait_event = 'SyncRep')`)).toBe(true),
      )
      const { rows } = await place.pool.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      const handled = `exists (select from rescore.stage_position where stage = 'recompute' and lsn > $1::pg_lsn)`
      await place.pool.query('update app.company set employees = 99 where id = 20')
      await happens(() => ask(place.pool, handled, [rows[0]?.lsn]))
      await place.pool.query('alter system reset synchronous_standby_names')
      await place.pool.query('select pg_reload_conf()')
      await committing
    } finally {
      await writer.end()
    }
    const { differenceCount } = await checker.check(place)
    if (isPlanted) expect(differenceCount).toBeGreaterThan(0)
    else expect(differenceCount).toBe(0)
  },
)

/** Statements of sessions of this name wait at the feature table until the lock is free. */
const GATE = 4_242
const HOLD_WRITES = `
  create function app.wait_at_gate() returns trigger language plpgsql as $$ begin
    if current_setting('application_name') = 'overtaken' then perform pg_advisory_xact_lock_shared(${GATE}); end if;
    return null;
  end $$;
  create trigger gate before insert or update on rescore.features_company
    for each statement execute function app.wait_at_gate();`

const RENAMED = change(1_000, 0, {
  table: 'app.company',
  op: 'update',
  before: { id: '3', name: 'Company 3' },
  after: { id: '3', name: 'Alpha' },
  changed: ['name'],
})

/**
 * A batch runs in one snapshot, and PostgreSQL itself refuses to overwrite what was written since. The guard holds also
 * where a stage's snapshot is not held: here the transaction sees whatever is committed, statement by statement.
 */
test.for([true, false])(
  'no-version-guard is caught by a worker that was overtaken (planted: %s)',
  async (isPlanted) => {
    await using database = await createTestDatabase('overtaken')
    await createProject(database.pool)
    const config = defineConfig({ features })
    const newStage = () => createRecomputeStage({ graph: compileGraph(config), report: () => undefined, strict: true })
    await catchUp(database.pool, [newStage()])
    await database.query(HOLD_WRITES)
    await using checker = await createChecker(config)
    using _ = isPlanted ? plant('no-version-guard') : null
    const { signal } = new AbortController()
    const applyTo = async (stage: RecomputeStage, context: ApplyContext) => {
      const work = stage.plan({ entries: [RENAMED], end: RENAMED.position, committedAtMs: 0, xids: [] })
      if (work === null) throw new Error('The change means nothing.')
      await stage.apply(work, context)
    }
    const gate = await database.pool.connect()
    const overtaken = createPool({ url: database.url, applicationName: 'overtaken', max: 1 })
    try {
      await gate.query('select pg_advisory_lock($1)', [GATE])
      await database.query(`update app.company set name = 'Alpha' where id = 3`)
      const older = withTransaction(overtaken, {}, async (client) => {
        const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
        await applyTo(newStage(), { client, snapshotLsn: parseLsn(rows[0]?.lsn ?? ''), nowMs: 0, signal })
      })
      const isWaiting = `exists (select from pg_locks where locktype = 'advisory' and not granted and objid = ${GATE})`
      await eventually(async () => expect(await ask(database.pool, isWaiting)).toBe(true))
      await database.query(`update app.company set name = 'Beta' where id = 3`)
      await inVisibleSnapshot({ pool: database.pool, signal }, [], (context) => applyTo(newStage(), context))
      await gate.query('select pg_advisory_unlock($1)', [GATE])
      await older
    } finally {
      gate.release()
      await overtaken.end()
    }
    const { differences } = await checker.check(database)
    if (isPlanted) expect(differences.map(({ key }) => key)).toContain('3')
    else expect(differences).toEqual([])
  },
)
