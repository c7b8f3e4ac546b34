/** Timers under the eyes of verify: what waits for one that is due is right until then; each way a timer can be wrong is named. */
import { expect, test } from 'vitest'
import { companies, deals, graph, tables, upsertSql } from '../../../test/recompute/aging.ts'
import { openHarness } from '../../../test/recompute/harness.ts'
import { createTestDatabase } from '../../../test/support/pg.ts'
import { verify } from '../verify.ts'

const NOW = Date.parse('2024-03-30T12:00:00Z')
const HOUR_MS = 3_600_000

/** [what is done by hand, what is then reported] */
const WRONG: readonly (readonly [string, readonly string[]])[] = [
  [
    `delete from rescore.timer where key = '1' and feature = 'exact'`,
    ['timer 1 exact: It changes as time passes, and no timer is there to wake it.'],
  ],
  [
    `update rescore.timer set due_at = due_at + interval '1 millisecond' where key = '2' and feature = 'days_born'`,
    ['timer 2 days_born: It changes before it is due, 2024-03-31T04:00:00.001Z.'],
  ],
  [
    `update rescore.timer set due_at = '2024-03-30T11:58:59Z' where key = '1' and feature = 'period'`,
    [
      'feature-value 1 period: Stored is \'{"began":1711800000000}\'; from scratch it is \'{"began":1711778400000}\'.',
      'timer 1 period: It was due at 2024-03-30T11:58:59.000Z, and nothing has come of it since.',
    ],
  ],
  [
    `insert into rescore.timer values ('company', '1', 'timeless', '2024-04-01')`,
    ['timer 1 timeless: A timer is there, but no feature of that name knows the time.'],
  ],
  [
    `insert into rescore.timer values ('company', '77', 'exact', '2024-04-01')`,
    ['timer 77 exact: A timer is there, but the entity is not.'],
  ],
]

test('what waits for its timer is held against the instant before, and a timer that is wrong is named', async () => {
  await using database = await createTestDatabase('verify_timers')
  const harness = await openHarness(database, graph, { tables })
  const at = (hours: number) => new Date(NOW + hours * HOUR_MS).toISOString()
  await database.query(upsertSql(companies), [
    JSON.stringify([1, 2].map((id) => ({ id, seen: at(-30), born: '2024-02-29' }))),
  ])
  await database.query(upsertSql(deals), [
    JSON.stringify([-35, -20, -0.5, 3].map((hours, id) => ({ id, company_id: 1, n: id, yes: true, at: at(hours) }))),
  ])
  harness.setNow(NOW)
  await harness.sweep()
  await database.query(
    `insert into rescore.stage_position (stage, lsn, index, reflected_lsn) values ('recompute', '0/0', 0, 'FFFF/0')`,
  )
  const look = async (nowMs: number) => {
    const report = await verify({
      pool: database.pool,
      url: database.url,
      graph,
      models: { models: [] },
      sample: null,
      signal: new AbortController().signal,
      timeoutMs: 60_000,
      clock: () => nowMs,
      recheckPausesMs: [],
    })
    return report.differences.map(({ kind, key, what, message }) => `${kind} ${key} ${what}: ${message}`)
  }
  expect(await look(NOW)).toEqual([])

  // Nobody fires: stored stays right until it is due, and for a minute nobody is blamed.
  const { rows } = await database.query<{ first: number }>(
    'select (extract(epoch from min(due_at)) * 1000)::float8 as first from rescore.timer',
  )
  const first = rows[0]?.first ?? 0
  expect(first).toBeGreaterThan(NOW)
  expect(await look(first + 60_000)).toEqual([])
  const late = await look(first + 6 * HOUR_MS)
  expect(late).toContain('timer 1 exact: It was due at 2024-03-30T13:00:00.000Z, and nothing has come of it since.')
  expect(late.filter((line) => !line.includes('nothing has come of it since'))).toEqual([])

  await database.query('create table public.timer as table rescore.timer')
  for (const [sql, expected] of WRONG) {
    await database.query(sql)
    expect(await look(NOW), sql).toEqual(expected)
    await database.query('truncate rescore.timer; insert into rescore.timer select * from public.timer')
  }
})
