/** Tables of the user's own: what cannot be watched is refused with what mends it, and the mend is enough. */
import { expect, test } from 'vitest'
import { setupOf } from '../../test/support/capture.ts'
import { createTestDatabase, type TestDatabase } from '../../test/support/pg.ts'
import { createPool } from '../db/pool.ts'
import {
  bigint,
  boolean,
  date,
  decimal,
  defineTable,
  float,
  integer,
  json,
  number,
  type Table,
  text,
  timestamp,
} from '../define/index.ts'
import { ensureCapture } from './slot.ts'
import { assertWatchable, examineTables } from './watchable.ts'

const orders = defineTable({
  name: 'public.orders',
  key: 'id',
  columns: { id: bigint().notNull(), customer: text(), total: number() },
})
const shopOrders = defineTable({ name: 'shop.orders', key: 'id', columns: orders.columns })
const lines = defineTable({ name: 'shop.lines', key: 'id', columns: { id: bigint().notNull() } })
const FIT = 'create table public.orders (id bigint primary key, customer text, total numeric)'
const options = { publication: 'none_yet', filled: new Set<string>() }

async function problemsOf(db: Pick<TestDatabase, 'pool'>, table: Table = orders) {
  return examineTables(db.pool, [table], options)
}

test.each([
  ['CAPTURE_TABLE_MISSING', 'select 1', 'Create it'],
  [
    'CAPTURE_TABLE_MISSING',
    'create schema shop; create table shop.orders (id bigint)',
    'shop.orders: did you mean it?',
  ],
  [
    'CAPTURE_TABLE_KIND',
    'create table public.sold (id bigint, customer text, total numeric); create view public.orders as select * from sold',
    'sold',
  ],
  [
    'CAPTURE_TABLE_KIND',
    'create table public.orders (id bigint primary key, customer text, total numeric) partition by range (id)',
    'partitions one by one',
  ],
  ['CAPTURE_TABLE_KIND', `${FIT}; create table public.more () inherits (public.orders)`, 'child tables one by one'],
])('%s: refused alone, whatever else is wrong: %s', async (code, sql, mend) => {
  await using db = await createTestDatabase('watch')
  await db.query(sql)
  expect(await problemsOf(db)).toEqual([
    { code, message: expect.stringContaining('orders'), mend: expect.stringContaining(mend) },
  ])
})

test.each([
  ['CAPTURE_REPLICA_IDENTITY', FIT],
  ['CAPTURE_TABLE_KIND', FIT.replace('create table', 'create unlogged table')],
  ['CAPTURE_TABLE_KEY', FIT.replace(' primary key', ' not null')],
  [
    'CAPTURE_TABLE_KEY',
    `${FIT.replace(' primary key', ' not null')}; create unique index on orders (id) where total > 0`,
  ],
  ['CAPTURE_COLUMN_TYPE', FIT.replace('total numeric', 'total integer')],
  ['CAPTURE_COLUMN_TYPE', FIT.replace('id bigint', 'id integer')],
])('%s: the mend that is printed heals it: %s', async (code, sql) => {
  await using db = await createTestDatabase('watch_mend')
  await db.query(`${sql}; insert into orders values (1, 'a', 2)`)
  const before = await problemsOf(db)
  expect(before.map((problem) => problem.code)).toContain(code)
  for (let round = 0; round < 3; round += 1) {
    for (const { mend } of await problemsOf(db)) await db.query(mend.slice(mend.indexOf('alter table')))
  }
  expect(await problemsOf(db)).toEqual([])
  await assertWatchable(db.pool, [orders], options)
})

test('columns are held against their declaration, all of them at once', async () => {
  await using db = await createTestDatabase('watch_columns')
  await db.query(`create domain public.money_text as text;
    create table public.odd (id uuid primary key, "Name" varchar(20), label public.money_text, n smallint, at timestamp,
      day date, flag boolean, f real, d numeric(10, 2), doc json, total numeric generated always as (d * 2) stored, kind char(3));
    alter table public.odd replica identity full`)
  const odd = defineTable({
    name: 'public.odd',
    key: 'id',
    columns: {
      id: text().notNull(),
      Name: text(),
      label: text().notNull(),
      n: integer(),
      at: timestamp(),
      day: date(),
      flag: boolean(),
      f: float(),
      d: decimal(),
      doc: json(),
      total: number(),
      kind: text(),
      Day: date(),
      absent: text(),
    },
  })
  const found = (await problemsOf(db, odd)).map(({ message, mend }) => `${message} | ${mend}`)
  expect(found).toEqual([
    expect.stringMatching(/\.id is uuid .* but text\(\)/),
    expect.stringMatching(/\.label may be null .*set not null/),
    expect.stringMatching(/\.at is timestamp without time zone .*at time zone 'UTC'/),
    expect.stringMatching(/\.f is real /),
    expect.stringMatching(/\.doc is json /),
    expect.stringMatching(/\.total is generated/),
    expect.stringMatching(/\.kind is character /),
    expect.stringMatching(/no column Day\..*Declare it as day/),
    expect.stringMatching(/no column absent\./),
  ])
})

/** A role without rights on schema shop, whose tables belong to another; what it may do in Rescore's own schema it may. */
async function strangers(label: string) {
  const db = await createTestDatabase(label)
  const [role, owner] = [`watcher_${db.name}`, `owner_${db.name}`]
  await db.query(`create role ${role} login replication password 'poor'; create role ${owner};
    grant create on database ${db.name} to ${role};
    grant usage, create on schema rescore to ${role}; grant all on all tables in schema rescore to ${role};
    create schema shop; create table shop.orders (id bigint primary key, customer text, total numeric);
    create table shop.lines (id bigint primary key);
    alter table shop.orders replica identity full; alter table shop.lines replica identity full;
    alter table shop.orders owner to ${owner}; alter table shop.lines owner to ${owner};
    alter table shop.orders enable row level security`)
  const url = new URL(db.url)
  url.username = role
  url.password = 'poor'
  const pool = createPool({ url: url.href, applicationName: 'rescore test', max: 2 })
  const tables = [shopOrders, lines]
  return {
    db,
    pool,
    problems: () => examineTables(pool, tables, { publication: db.name, filled: new Set() }),
    /** The publication as the role itself makes it. */
    capture: (ids: readonly string[]) => ensureCapture(pool, { ...setupOf(db.name, ids), owned: [] }),
    published: async () => {
      const { rows } = await db.query<{ tablename: string }>(
        'select tablename from pg_publication_tables where pubname = $1 order by 1',
        [db.name],
      )
      return rows.map(({ tablename }) => tablename)
    },
    [Symbol.asyncDispose]: async () => {
      await pool.end()
      await db.query('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [
        db.name,
      ])
      await db.query(`drop owned by ${role}; drop role ${role}; drop owned by ${owner}; drop role ${owner}`)
      await db[Symbol.asyncDispose]()
    },
  }
}

test('rights that a role lacks are given by the statements that are printed', async () => {
  await using shop = await strangers('watch_rights')
  const before = await shop.problems()
  expect(new Set(before.map(({ code }) => code))).toEqual(new Set(['CAPTURE_TABLE_RIGHTS']))
  expect(before.map(({ mend }) => mend.replace(/".*/, ''))).toEqual([
    'grant usage on schema ',
    'grant select on shop.orders to ',
    'As a superuser: create publication ',
    'grant usage on schema ',
    'grant select on shop.lines to ',
    'As a superuser: create publication ',
  ])
  for (let round = 0; round < 2; round += 1) {
    // Who belongs to the owner needs nothing else; the first round leaves that out.
    for (const { mend } of await shop.problems()) {
      const either = / Or: (.*)/.exec(mend)?.[1]
      if (either === undefined) await shop.db.query(mend)
      else if (round > 0) await shop.db.query(either)
    }
  }
  expect(await shop.problems()).toEqual([])
  await shop.capture(['shop.orders', 'shop.lines'])
  expect(await shop.published()).toEqual(['lines', 'orders'])
})

test('a table of another owner that a superuser has published is watched, and goes out when it is not wanted', async () => {
  await using shop = await strangers('watch_given')
  for (let round = 0; round < 8; round += 1) {
    const [first] = await shop.problems()
    if (first === undefined) break
    await shop.db.query(first.mend.replace(/^As a superuser: /, '').replace(/ Or: .*/, ''))
  }
  expect(await shop.problems()).toEqual([])
  await shop.capture(['shop.orders', 'shop.lines'])
  expect(await shop.published()).toEqual(['lines', 'orders'])
  await shop.capture(['shop.orders'])
  expect(await shop.published()).toEqual(['orders'])
})

test('tables that connectors fill are their own affair', async () => {
  await using db = await createTestDatabase('watch_filled')
  await assertWatchable(db.pool, [orders], { ...options, filled: new Set([orders.id]) })
})
