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
    `update rescore.timer set due_at = '2024-03-30T11:59:59.999Z' where key = '1' and feature = 'period'`,
    [
      'timer 1 period: Its timer was due at 2024-03-30 11:59:59.999+00 and has not fired.',
      'feature-value 1 period: Stored is \'{"began":1711800000000}\'; from scratch it is \'{"began":1711778400000}\'.',
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
  /** @param times what the clock shows when verify begins, and when it compares */
  const look = async (...times: readonly [number, number]) => {
    const shown = [...times]
    const report = await verify({
      pool: database.pool,
      url: database.url,
      graph,
      models: { models: [] },
      sample: null,
      signal: new AbortController().signal,
      timeoutMs: 200,
      clock: () => shown.shift() ?? NOW,
      recheckPausesMs: [],
    })
    return report.differences.map(({ kind, key, what, message }) => `${kind} ${key} ${what}: ${message}`)
  }
  expect(await look(NOW, NOW)).toEqual([])

  // Nobody fires. What falls due meanwhile is right as it was before; what was due when verify began is waited for, and named.
  expect(await look(NOW, NOW + 40 * 24 * HOUR_MS)).toEqual([])
  const late = await look(NOW + HOUR_MS, NOW + HOUR_MS)
  expect(late).toContain('timer 1 exact: Its timer was due at 2024-03-30 13:00:00+00 and has not fired.')
  expect(late.filter((line) => !line.endsWith('has not fired.'))).toEqual([])

  await database.query('create table public.timer as table rescore.timer')
  for (const [sql, expected] of WRONG) {
    await database.query(sql)
    expect(await look(NOW, NOW), sql).toEqual(expected)
    await database.query('truncate rescore.timer; insert into rescore.timer select * from public.timer')
  }
})
