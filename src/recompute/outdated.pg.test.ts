/** Older and newer definitions beside one another. */
import { expect, test } from 'vitest'
import { openHarness } from '../../test/recompute/harness.ts'
import { companies, dealSum, deals, epochs, graphOf, open, size } from '../../test/recompute/releases.ts'
import { eventually } from '../../test/support/eventually.ts'
import { createTestDatabase } from '../../test/support/pg.ts'

test('what was deployed before and replaced is refused until it is meant: lower versions, features come back, features gone', async () => {
  await using db = await createTestDatabase('deploy')
  const releases = [[size(1, 1)], [size(1, 1), dealSum], [size(2, 10), dealSum], [size(3, 100)]]
  for (const release of releases) await open(db, ...release)
  const deployed = await epochs(db)
  for (const release of releases.slice(0, -1)) {
    await expect(open(db, ...release)).rejects.toMatchObject({
      code: 'FEATURE_OUTDATED',
      fate: 'stop',
      mend: expect.stringContaining('--rollback'),
    })
  }
  await open(db, ...(releases.at(-1) ?? []))
  expect(await epochs(db)).toEqual(deployed)
  const back = await openHarness(db, graphOf(size(1, 1), dealSum), { tables: [companies, deals], isRollback: true })
  await db.query(`insert into app.companies values ('a', 7); insert into app.deals values (1, 'a', 5)`)
  await back.sweep()
  expect(await back.stored()).toEqual({ a: { size: 7, deal_sum: 5 } })
  await expect(open(db, size(3, 100))).rejects.toMatchObject({ code: 'FEATURE_OUTDATED' })
})

test('a process that does not know a deployed feature passes over none of its changes', async () => {
  await using db = await createTestDatabase('deploy')
  const old = await open(db, size(1, 1))
  await open(db, size(1, 1), dealSum)
  const changes = await old.exec(`insert into app.companies values ('a', 1); insert into app.deals values (1, 'a', 5)`)
  await expect(old.apply(changes)).rejects.toMatchObject({
    code: 'FEATURE_NOT_DEPLOYED',
    message: expect.stringContaining('company.deal_sum is not among them'),
  })
  const client = await db.pool.connect()
  const signal = new AbortController().signal
  await client.query('begin')
  await expect(old.stage.admit?.({ client, snapshotLsn: 1n, nowMs: 0, signal })).rejects.toMatchObject({
    code: 'FEATURE_NOT_DEPLOYED',
  })
  await client.query('rollback')
  client.release()
})

test('definitions are not changed while a transaction works by them', async () => {
  await using db = await createTestDatabase('deploy')
  const harness = await open(db, size(1, 1))
  const client = await db.pool.connect()
  await client.query('begin')
  await harness.stage.admit?.({ client, snapshotLsn: 1n, nowMs: 0, signal: new AbortController().signal })
  const deployed = open(db, size(2, 1))
  await eventually(async () => {
    const { rows } = await db.query(`select from pg_locks where locktype = 'advisory' and not granted`)
    expect(rows).toHaveLength(1)
  })
  expect(await epochs(db)).toEqual({ size: 1 })
  await client.query('commit')
  client.release()
  await deployed
  expect(await epochs(db)).toEqual({ size: 2 })
})
