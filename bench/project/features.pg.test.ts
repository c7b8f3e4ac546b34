/** The bench compares like with like only if its features are those of the batch recipe: held against the recipe's SQL. */
import { expect, test } from 'vitest'
import { parseLsn } from '../../src/db/lsn.ts'
import { withTransaction } from '../../src/db/pool.ts'
import { compileGraph } from '../../src/graph/compile.ts'
import { createRecomputeStage } from '../../src/recompute/stage.ts'
import { createTestDatabase } from '../../test/support/pg.ts'
import { fillCrm, INDUSTRIES, prepareForRescore, REGIONS } from '../crm-data.ts'
import { benchProject, CURRENT } from './config.ts'

const NOW = `timestamptz '2025-07-15 00:00Z'`
const days = (at: string) => `(extract(epoch from ${NOW} - ${at}) / 86400)::double precision`
const list = (values: readonly string[]) => `array['${values.join("','")}']`

/** What batch_job.py computes, in SQL. */
const RECIPE = `
  select c.id, 2025.54::double precision - c.batch_year as age, c.team_size::bigint, c.is_hiring, c.nonprofit,
    c.stage = 'Growth' as growth, coalesce(length(c.long_description), 0)::bigint as desc_len,
    coalesce(length(c.one_liner), 0)::bigint as one_len, coalesce(jsonb_array_length(c.tags), 0)::bigint as n_tags,
    coalesce(jsonb_array_length(c.regions), 0)::bigint as n_regions, c.website is null or c.website = '' as no_site,
    n.*, d.*, array_position(${list(INDUSTRIES)}, c.industry)::bigint - 1 as industry,
    array_position(${list(REGIONS)}, c.region)::bigint - 1 as region
  from companies c
  cross join lateral (select count(*) as n_contacts, count(*) filter (where seniority >= 4) as n_senior,
      count(*) filter (where ${days('last_activity_at')} <= 180) as contacts_180d,
      min(${days('last_activity_at')}) as days_since_contact from contacts where company_id = c.id) n
  cross join lateral (select count(*) as n_deals, count(*) filter (where stage not in ('won', 'lost')) as n_open,
      coalesce(sum(amount), 0)::double precision as sum_amount,
      coalesce(sum(amount) filter (where stage = 'won'), 0)::double precision as won_amount,
      max(amount)::double precision as max_amount,
      (count(*) filter (where stage = 'won'))::double precision
        / nullif(count(*) filter (where stage in ('won', 'lost')), 0) as win_rate,
      coalesce(sum(amount * probability) filter (where stage not in ('won', 'lost')), 0)::double precision as open_weighted,
      min(${days('created_at')}) as days_since_deal from deals where company_id = c.id) d`

test('each of the 24 features is what the batch recipe computes', async () => {
  await using database = await createTestDatabase('bench_features')
  await fillCrm(database.pool, { companies: 200, contacts: 600, deals: 400 })
  await prepareForRescore(database.pool)
  const stage = createRecomputeStage({
    graph: compileGraph(benchProject(CURRENT)),
    report: () => undefined,
    strict: true,
  })
  await stage.deploy(database.pool)
  const { signal } = new AbortController()
  const piece = () =>
    withTransaction(database.pool, { isolation: 'repeatable read' }, async (client) => {
      const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
      return stage.sweep({ client, snapshotLsn: parseLsn(rows[0]?.lsn ?? '0/0'), nowMs: 0, signal })
    })
  while (await piece());

  const names = benchProject(CURRENT).features.map(({ name }) => name)
  expect(names).toHaveLength(24)
  const { rows: expected } = await database.query(`select * from (${RECIPE}) r order by id`)
  const { rows: stored } = await database.query('select * from rescore.features_company order by key')
  expect(stored).toHaveLength(200)
  for (const [index, row] of stored.entries()) {
    for (const name of names) {
      const [own, theirs] = [row[name], expected[index]?.[name] ?? null]
      // Sums of float products and divisions of times differ in the last digits.
      if (typeof own === 'number' && theirs !== null)
        expect(own, `${name} of ${row.key}`).toBeCloseTo(Number(theirs), 2)
      else expect(own, `${name} of ${row.key}`).toBe(theirs)
    }
  }
})
