/** The past of a running service: nothing written that did not move; folded by the rule, and everything else as before. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createDataset } from '../../src/dataset/create.ts'
import { readKnown } from '../../src/history/entity-history.ts'
import { parseInstant } from '../../src/history/instant.ts'
import { runRetention } from '../../src/history/keeper.ts'
import { readPartitions } from '../../src/history/partitions.ts'
import { ruleOf } from '../../src/history/rule.ts'
import { explain } from '../../src/observe/explain.ts'
import { readStatus } from '../../src/observe/status.ts'
import { ask, companies, ended, nextRelease } from '../backfill/setting.ts'
import { calm, createChecker, startIn } from '../chaos/running.ts'
import { quiet } from '../support/datasets.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase, type TestDatabase } from '../support/pg.ts'
import { projectConfig } from '../support/project-features.ts'
import { createProject } from '../support/project-sql.ts'

const { signal } = new AbortController()

async function lengths({ query }: TestDatabase): Promise<readonly number[]> {
  const { rows } = await query<{ features: number; labels: number }>(
    `select (select count(*) from rescore.feature_history)::integer as features,
            (select count(*) from rescore.classification_history)::integer as labels`,
  )
  return [rows[0]?.features ?? 0, rows[0]?.labels ?? 0]
}

/** Moves that moved nothing. */
async function unmoved({ query }: TestDatabase): Promise<number> {
  const { rows } = await query<{ n: number }>(
    `select (select count(*) from rescore.feature_history h, json_each(h.changed) c
             where h.op = 'update' and (c.value->'from')::text = (c.value->'to')::text)::integer
          + (select count(*) from rescore.feature_history where op = 'update' and changed::text = '{}')::integer
          + (select count(*) from rescore.classification_history
             where from_label = to_label and from_probability = to_probability)::integer as n`,
  )
  return rows[0]?.n ?? -1
}

test('a backfill, a restart, a new version of the same values and changes that move nothing write no history', async () => {
  await using database = await createTestDatabase('past_unmoved')
  await createProject(database.pool)
  {
    await using _running = await startIn(database)
    await calm(database)
    const before = await lengths(database)
    expect(before[0]).toBeGreaterThan(5)
    expect(before[1]).toBeGreaterThan(0)
    const { done } = await ended(database, await ask(database)).then(({ changed, unchanged }) => ({
      done: changed + unchanged,
    }))
    expect(done).toBeGreaterThan(0)
    await database.query('update app.company set name = name')
    await calm(database)
    expect(await lengths(database)).toEqual(before)
    await database.query(`update app.event set kind = 'visit', weight = weight + 1 where id % 2 = 0`)
    await calm(database)
    expect((await lengths(database))[0]).toBeGreaterThan(before[0] ?? 0)
  }
  const before = await lengths(database)
  {
    await using _again = await startIn(database)
    await calm(database)
  }
  {
    await using _next = await startIn(database, nextRelease('visits', { version: 2 }, 1_000))
    await calm(database)
    const { rows } = await database.query('select from rescore.features_company where epoch > 1')
    expect(rows.length).toBeGreaterThan(0)
  }
  expect(await lengths(database)).toEqual(before)
  expect(await unmoved(database)).toBe(0)
})

/** As if all that was written so far had been written half a year ago. */
async function age({ query }: TestDatabase): Promise<void> {
  await query(
    `update rescore.feature_history set recorded_at = recorded_at - interval '6 months', valid_at = valid_at - interval '6 months'`,
  )
  await query(
    `update rescore.classification_history set scored_at = scored_at - interval '6 months', source_at = source_at - interval '6 months'`,
  )
}

test('what a service wrote is folded while it runs: verified, explained, asked for and joined as before', async () => {
  await using database = await createTestDatabase('past_folded')
  await createProject(database.pool)
  const folder = await mkdtemp(join(tmpdir(), 'rescore-past-'))
  await using checker = await createChecker()
  const { pool, url } = database
  {
    await using _running = await startIn(database)
    await calm(database)
    await database.query(`update app.event set weight = weight * 1.5, kind = 'visit' where id % 2 = 0`)
    await calm(database)
    await database.query('delete from app.company where id = 5')
    await calm(database)
  }
  await age(database)
  const aged = await database.query<{ at: string }>(`select (now() - interval '10 days')::text as at`)
  const at = parseInstant((aged.rows[0]?.at ?? '').replace(' ', 'T')) ?? 0n
  const known = async () => {
    const { keptFrom: _, ...rest } = await readKnown(pool, 'company', '3', at)
    return rest
  }
  const before = await known()
  const explained = await explain(pool, { entity: 'company', key: '3', limit: 50 })
  // The service folds by itself, first thing.
  await using _running = await startIn(database, { ...projectConfig, history: { keep: '2 months' } })
  await database.query(`update app.event set weight = weight + 1 where id = 2`)
  await calm(database)
  await eventually(
    async () => {
      const { past } = await readStatus(pool)
      expect(past.lastRun).toMatchObject({ error: null, endedAt: expect.any(String) })
      expect(past.lastRun?.rowsFolded).toBeGreaterThan(0)
      expect(Object.keys(past.keptFrom)).toContain('company')
    },
    { deadlineMs: 60_000 },
  )
  expect(await known()).toEqual(before)
  const { rows } = await database.query<{ n: number }>(
    `select count(*)::integer as n from rescore.feature_history where recorded_at < now() - interval '3 months'`,
  )
  expect(rows[0]?.n).toBe(0)
  expect((await readPartitions(pool)).some(({ from }) => from !== null && from < at - 120n * 86_400_000_000n)).toBe(
    false,
  )
  const { differences } = await checker.check(database)
  expect(differences).toEqual([])
  const after = await explain(pool, { entity: 'company', key: '3', limit: 50 })
  expect(after.now).toEqual(explained.now)
  expect(after.steps.every(({ op, causes }) => op === 'base' && causes.length === 0)).toBe(true)
  // Every value that stands was said by one of the steps that are kept.
  const told = ({ steps }: typeof after) => new Set(steps.flatMap(({ moves }) => moves.map(({ feature }) => feature)))
  expect(told(after)).toEqual(told(explained))
  const file = join(folder, 'list.csv')
  await writeFile(file, ['id,seen', '3,2020-01-01', `3,${aged.rows[0]?.at}`, `5,${aged.rows[0]?.at}`].join('\n'))
  const node = companies()
  const made = await createDataset(
    pool,
    { name: 'joined', node, features: node.features, file, key: 'id', at: 'seen', to: folder, s3: null },
    quiet,
  )
  expect(made.manifest.rows).toMatchObject({ served: 2, rejected: 1, unknown: 1, cut: 0 })
  // Once more by hand, beside the service: there is nothing left to do.
  const rule = ruleOf({ keep: '2 months' }, ['company', 'contact'])
  expect(await runRetention({ url, pool, rule, signal, share: 1 })).toMatchObject({ rowsFolded: 0, waiting: [] })
  await rm(folder, { recursive: true })
})
