/**
 * The tables of the test project as SQL, and a first filling that is the same every time.
 * Invariant: `fillProject` empties and fills in one transaction, so no stage ever sees half of it.
 */
import { type Pool, withTransaction } from '../../src/db/pool.ts'

/** No foreign key constraints: orphans, and children that come before their parents, are part of the test. */
const CREATE = `
  create schema app;
  create table app.company (id bigint primary key, name text, employees integer, revenue numeric, is_partner boolean,
    about text, founded_at timestamptz);
  create table app.contact (id text primary key, company_id bigint, email text, score integer, is_active boolean,
    seen_at timestamptz);
  create table app.event (id bigint primary key, contact_id text, kind text, weight double precision,
    happened_at timestamptz);
  create table app.deal (id bigint primary key, name text, amount numeric, stage text, closed_on date, terms text);
  create table app.company_deal (company_id bigint, deal_id bigint, label text,
    primary key (company_id, deal_id, label));
  create table app.item (id bigint primary key, deal_id bigint, quantity integer);
  create table app.note (id text primary key, company_id bigint, stars integer);
  create index on app.contact (company_id);
  create index on app.event (contact_id);
  create index on app.company_deal (deal_id);
  create index on app.item (deal_id);
  create index on app.note (company_id);
  alter table app.company alter about set storage external;
  alter table app.deal alter terms set storage external;`

export const PROJECT_TABLES = ['company', 'contact', 'event', 'deal', 'company_deal', 'item', 'note'] as const

/** How many rows of each table the first filling makes: keys 1 to this. */
export const FILLED = { company: 24, contact: 40, event: 60, deal: 30, item: 40, note: 12 } as const

/** The n-th contact's key: quotes, commas, backslashes and letters that sort differently by bytes and by language. */
export function contactKey(n: number): string {
  return `${['c', 'Ç', 'c"', 'c,', 'c\\', 'C ', '{c}'][n % 7]}${n}`
}

const CONTACT_KEY = `(array['c', 'Ç', 'c"', 'c,', 'c\\', 'C ', '{c}'])[i % 7 + 1] || i`

const FILL = `
  insert into app.company select i, 'Company ' || i, i * 7, i * 1.25, i % 3 = 0,
      case when i % 4 = 0 then repeat('about ', 600) end, timestamptz '2020-01-01' + i * interval '1 day 0.000001 s'
    from generate_series(1, ${FILLED.company}) i;
  insert into app.contact select ${CONTACT_KEY}, nullif(i % 20, 0), case when i % 3 > 0 then 'c' || i % 9 || '@example.com' end,
      i % 11, i % 2 = 0, timestamptz '2026-01-01' + i * interval '1 day' from generate_series(1, ${FILLED.contact}) i;
  insert into app.deal select i, 'Deal ' || i, (i % 9 - 4) * 0.37, (array['won', 'lost', 'open'])[i % 3 + 1],
      date '2026-01-01' + i % 7, case when i % 2 = 0 then repeat('terms ', 600) end
    from generate_series(1, ${FILLED.deal}) i;
  insert into app.company_deal select i % ${FILLED.company} + 1, i, 'primary' from generate_series(1, ${FILLED.deal}) i;
  insert into app.company_deal select i * 5 % ${FILLED.company} + 1, i, 'other' from generate_series(1, ${FILLED.deal}, 2) i;
  insert into app.item select i, i % ${FILLED.deal} + 1, i % 5 from generate_series(1, ${FILLED.item}) i;
  insert into app.note select 'n' || i, i % ${FILLED.company} + 1, i % 7 from generate_series(1, ${FILLED.note}) i;
  insert into app.event select e, ${CONTACT_KEY}, (array['visit', 'call', 'mail'])[e % 3 + 1], e * 0.1,
      timestamptz '2026-01-01' + e * interval '11 hours'
    from generate_series(1, ${FILLED.event}) e, lateral (select e % ${FILLED.contact} + 1 as i) k;`

export async function createProject(pool: Pool): Promise<void> {
  const identities = PROJECT_TABLES.map((table) => `alter table app.${table} replica identity full;`)
  await pool.query(`${CREATE} ${identities.join(' ')} ${FILL}`)
}

/** Back to the first filling, as ordinary changes. */
export async function refillProject(pool: Pool): Promise<void> {
  await withTransaction(pool, {}, async (client) => {
    await client.query(`${PROJECT_TABLES.map((table) => `delete from app.${table};`).join(' ')} ${FILL}`)
  })
}
