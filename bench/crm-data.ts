/**
 * The CRM that everything is measured on: the tables of the batch recipe (recipes/batch/gen_data.py), filled by SQL.
 *
 * Invariant: the same sizes and seed give the same rows on the same PostgreSQL, so that figures of two runs compare.
 * Shapes follow the recipe: text lengths as in the real companies, children spread over companies by a heavy tail.
 */
import { type Pool, withTransaction } from '../src/db/pool.ts'

export interface CrmSizes {
  readonly companies: number
  readonly contacts: number
  readonly deals: number
}

/** Alphabetic, as the batch job finds them: the index in these lists is the code both sides give the model. */
export const INDUSTRIES = [
  'B2B',
  'Consumer',
  'Education',
  'Fintech',
  'Government',
  'Healthcare',
  'Industrials',
  'Real Estate and Construction',
  'Unspecified',
] as const
export const REGIONS = [
  'Africa',
  'Canada',
  'East Asia',
  'Europe',
  'Latin America',
  'MENA',
  'Oceania',
  'Other',
  'South Asia',
  'Southeast Asia',
  'USA',
] as const

/** The recipe's own statements, so that its jobs run unchanged. */
const TABLES = `
create table companies (id bigint primary key, name text not null, website text, team_size int, industry text,
  region text, batch_year real, stage text, status text, is_hiring bool, nonprofit bool, tags text[], regions text[],
  one_liner text, long_description text, created_at timestamptz, updated_at timestamptz, growth_label text,
  growth_prob real, scored_at timestamptz);
create table contacts (id bigint primary key, company_id bigint not null, email text, full_name text, title text,
  seniority smallint, created_at timestamptz, last_activity_at timestamptz);
create table deals (id bigint primary key, company_id bigint not null, name text, amount numeric(14,2), stage text,
  probability real, created_at timestamptz, closed_at timestamptz);`

const WORDS = `'{rapid,electronics,factory,team,software,platform,companies,data,customers,market,product,online,first,
  build,service,helps,people,payments,health,learning,marketplace,tools,developers,world,faster,better,robotics}'::text[]`

const COMPANIES = `
insert into companies (id, name, website, team_size, industry, region, batch_year, stage, status, is_hiring, nonprofit,
  tags, regions, one_liner, long_description, created_at, updated_at)
select i, 'Company ' || i, case when random() < 0.996 then 'https://c' || i || '.example' end,
  case when random() < 0.987 then floor(exp(random_normal(2.1, 1.5)))::int end,
  industries[1 + floor(power(random(), 1.7) * 9)::int], regions[11 - floor(power(random(), 2.2) * 11)::int],
  2006 + floor(random() * 19) + (array[0, 0.5])[1 + floor(random() * 2)::int],
  case when random() < 0.82 then 'Early' else 'Growth' end, 'Active', random() < 0.26, random() < 0.01,
  (select array_agg('tag ' || t) from generate_series(1, floor(random() * 6)::int + i * 0) t),
  (select array_agg('region ' || t) from generate_series(1, 1 + floor(random() * 4)::int + i * 0) t),
  substr(prose, 1 + floor(random() * 8000)::int, (10 + random() * 60)::int),
  substr(prose, 1 + floor(random() * 8000)::int, least(5000, exp(random_normal(5.87, 0.64)))::int),
  now0 - random() * interval '870 days', now0 - random() * interval '400 days'
from generate_series(1, $1::int) i, bench_prose`

/** The company a draw from 0 to 1 falls on. The bounds are one array, computed once a statement. */
const DRAWN_COMPANY = `(1 + width_bucket(r, (select array_agg(upto order by id) from bench_weight where upto < 1)))`

const CONTACTS = `
insert into contacts
select j, company, 'p' || j || '@c' || company || '.example', 'Person ' || j,
  (array['CEO','CTO','VP Sales','Engineer','Head of Growth','Recruiter','COO','Account Manager'])[1 + j % 8],
  1 + floor(random() * 5)::int, now0 - age * interval '1 day', now0 - random() * age * interval '1 day'
from (select *, ${DRAWN_COMPANY} as company
      from (select j, random() as r, random() * 900 as age from generate_series(1, $1::int) j) draw) x, bench_prose`

const DEALS = `
insert into deals
select j, company, 'Deal ' || j, round(exp(random_normal(9, 1.1))::numeric, 2), stage,
  case stage when 'open' then 0.2 when 'proposal' then 0.4 when 'negotiation' then 0.7 when 'won' then 1 else 0 end,
  now0 - age * interval '1 day', case when stage in ('won', 'lost') then now0 - random() * age * interval '1 day' end
from (select *, ${DRAWN_COMPANY} as company
      from (select j, random() as r, random() * 900 as age,
        (array['open','open','open','open','open','proposal','proposal','proposal','negotiation','negotiation',
               'won','won','won','won','lost','lost','lost','lost','lost','lost'])[1 + floor(random() * 20)::int] as stage
      from generate_series(1, $1::int) j) draw) x, bench_prose`

const list = (values: readonly string[]) => `'{${values.map((value) => `"${value}"`).join(',')}}'::text[]`

/** Creates and fills the recipe's tables in an empty database. */
export async function fillCrm(pool: Pool, sizes: CrmSizes): Promise<void> {
  await withTransaction(pool, {}, async (client) => {
    await client.query(TABLES)
    await client.query('select setseed(0.42)')
    await client.query(`create temp table bench_prose on commit drop as
      select string_agg((${WORDS})[1 + floor(random() * 27)::int], ' ') as prose, timestamptz '2025-07-15 00:00Z' as now0,
        ${list(INDUSTRIES)} as industries, ${list(REGIONS)} as regions from generate_series(1, 2500)`)
    await client.query(COMPANIES, [sizes.companies])
    await client.query(`create temp table bench_weight on commit drop as
      select id, least(1, sum(w) over (order by id) / sum(w) over ()) as upto
      from (select id, power(random(), -1 / 1.6) - 0.8 as w from companies order by id) x`)
    await client.query(CONTACTS, [sizes.contacts])
    await client.query(DEALS, [sizes.deals])
    await client.query('create index on contacts (company_id)')
    await client.query('create index on deals (company_id)')
    await client.query('create index on companies (growth_label)')
  })
  await pool.query('vacuum analyze')
}

/**
 * Makes the recipe's tables watchable: the column types a source table can declare, and old values in the log.
 * Lists become json because no declared type is an array; everything else holds the same values.
 */
export async function prepareForRescore(pool: Pool): Promise<void> {
  await pool.query(`
    alter table companies alter tags type jsonb using to_jsonb(tags), alter regions type jsonb using to_jsonb(regions),
      alter batch_year type double precision;
    alter table contacts alter seniority type integer;
    alter table companies replica identity full;
    alter table contacts replica identity full;
    alter table deals replica identity full;`)
  await pool.query('vacuum analyze')
}
