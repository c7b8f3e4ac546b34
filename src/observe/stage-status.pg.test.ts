import { expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { EmbeddedLog } from '../log/embedded/embedded-log.ts'
import { END_OF_TRANSACTION, START } from '../log/position.ts'
import { StageStatusWriter } from './stage-status.ts'
import { readStatus } from './status.ts'

test('status tells lag, its trend, rate, backlog and the last error, and rests when nothing moves', async () => {
  await using database = await createTestDatabase('stage_status')
  const log = new EmbeddedLog({ stages: new Map([['recompute', START]]) })
  const counters = { handled: 0, computed: 0, written: 0 }
  const failures: Error[] = []
  const status = new StageStatusWriter({
    pool: database.pool,
    log,
    stages: [{ name: 'recompute', counters: () => ({ ...counters }) }],
    onError: (error) => failures.push(error),
    everyMs: 20,
  })
  await database.query(
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ('recompute', '0/0', 0, '0/0')`,
  )
  const stop = new AbortController()
  const running = status.run(stop.signal)
  const shown = async () => (await readStatus(database.pool)).stages[0]

  const committedAtMs = Date.now() - 60_000
  const change = {
    kind: 'change',
    xid: 1,
    committedAtMs,
    table: 'a.b',
    before: null,
    after: {},
    changed: null,
  } as const
  await log.append(
    {
      entries: [0, 1].map((index) => ({ ...change, op: 'insert', position: { lsn: 10n, index } })),
      end: { lsn: 10n, index: END_OF_TRANSACTION },
      commit: { lsn: 10n, endLsn: 11n },
      committedAtMs,
      bytes: 10,
    },
    stop.signal,
  )
  status.add({ type: 'failed', stage: 'recompute', code: 'DB_X', message: 'it did not work' })
  await eventually(async () => {
    expect(await shown()).toMatchObject({ backlog: 2, sweeping: true, lastError: 'DB_X: it did not work' })
    expect((await shown())?.lagSeconds).toBeGreaterThan(59)
  })

  log.acknowledge('recompute', { lsn: 10n, index: END_OF_TRANSACTION })
  Object.assign(counters, { handled: 2, computed: 6, written: 1 })
  status.add({ type: 'batch', stage: 'recompute', entries: 2, ms: 1 })
  status.add({ type: 'sweep', stage: 'recompute', isMoreLeft: false, ms: 1 })
  await eventually(async () => {
    expect(await shown()).toMatchObject({
      backlog: 0,
      lagSeconds: 0,
      sweeping: false,
      ratePerSecond: 0,
      lagTrend: 'steady',
    })
  })
  const { rows } = await database.query('select entries, computed, changed, last_error from rescore.stage_status')
  expect(rows).toEqual([{ entries: 2n, computed: 6n, changed: 1n, last_error: 'DB_X: it did not work' }])

  const written = async () => (await database.query('select updated_at from rescore.stage_status')).rows
  let before = await written()
  await eventually(async () => {
    const now = await written()
    const isSame = JSON.stringify(now) === JSON.stringify(before)
    before = now
    expect(isSame).toBe(true)
  })
  stop.abort()
  await running
  expect(failures).toEqual([])
})
