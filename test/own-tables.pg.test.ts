/** Tables of the user's own with keys as applications make them (uuid), watched by naming them: the whole service on them. */
import { expect, test } from 'vitest'
import {
  bigint,
  defineConfig,
  defineEntity,
  defineFeature,
  defineTable,
  number,
  text,
  uuid,
} from '../src/define/index.ts'
import { calm, createChecker, startIn } from './chaos/running.ts'
import { createTestDatabase } from './support/pg.ts'

const customers = defineTable({
  name: 'shop.customer',
  key: 'id',
  columns: { id: uuid().notNull(), name: text(), referred_by: uuid() },
})
const orders = defineTable({
  name: 'shop.order',
  key: 'nr',
  columns: { nr: bigint().notNull(), customer: uuid(), total: number() },
})
const tags = defineTable({ name: 'shop.tag', key: 'id', columns: { id: uuid().notNull(), label: text() } })
const tagged = defineTable({
  name: 'shop.customer_tag',
  key: ['customer', 'tag'],
  columns: { customer: uuid().notNull(), tag: uuid().notNull() },
})
const customer = defineEntity({ name: 'customer', table: customers })
const placed = customer.many(orders, { foreignKey: 'customer' })
const labels = customer.many(tags, { through: tagged, from: 'customer', to: 'tag' })
const common = { entity: customer, version: 1, description: '' } as const
const config = defineConfig({
  features: [
    defineFeature({
      ...common,
      name: 'spent',
      type: 'number',
      inputs: { spent: placed.sum('total') },
      compute: ({ spent }) => spent,
    }),
    defineFeature({
      ...common,
      name: 'best_tag',
      type: 'text',
      inputs: { tag: labels.max('id'), label: labels.latest('label', { orderBy: 'id' }) },
      compute: ({ tag, label }) => (tag === null ? null : `${tag} ${label ?? '-'}`),
    }),
    defineFeature({
      ...common,
      name: 'referrals',
      type: 'integer',
      inputs: { all: customer.many(customers, { foreignKey: 'referred_by' }).count() },
      compute: ({ all }) => all,
    }),
  ],
})

const id = (n: string) => `('00000000-0000-4000-8000-' || lpad((${n})::text, 12, '0'))::uuid`

const TABLES = `create schema shop;
  create table shop.customer (id uuid primary key, name varchar(50), referred_by uuid references shop.customer on delete set null);
  create table shop.order (nr bigint primary key, customer uuid, total numeric(12, 2), unread json);
  create table shop.tag (id uuid primary key, label text);
  create table shop.customer_tag (customer uuid, tag uuid, primary key (customer, tag));
  create index on shop.customer (referred_by); create index on shop.order (customer); create index on shop.customer_tag (tag);
  insert into shop.customer select ${id('i')}, 'customer ' || i from generate_series(1, 40) i;
  insert into shop.order select i, ${id('i % 40 + 1')}, i * 1.25, '{}' from generate_series(1, 200) i;
  insert into shop.tag select ${id('i')}, 'tag ' || i from generate_series(1, 9) i;
  insert into shop.customer_tag select ${id('i % 40 + 1')}, ${id('i % 9 + 1')} from generate_series(1, 80) i on conflict do nothing;`

const CHANGES = [
  `update shop.order set customer = ${id('3')} where nr % 7 = 0`,
  `update shop.customer set referred_by = ${id('1')} where id > ${id('30')}`,
  `delete from shop.customer_tag where tag = ${id('9')}`,
  `update shop.tag set label = upper(label)`,
  `update shop.customer set id = ${id('99')} where id = ${id('5')}`,
  `delete from shop.customer where id = ${id('1')}`,
  `update shop.order set customer = null where nr < 9`,
  'truncate shop.customer_tag',
]

test('tables with uuid keys are watched by naming them, and every value stays true', async () => {
  await using db = await createTestDatabase('own_tables')
  await db.query(TABLES)
  await expect(startIn(db, config)).rejects.toMatchObject({
    code: 'CAPTURE_REPLICA_IDENTITY',
    mend: expect.stringMatching(/^alter table shop\.\w+ replica identity full;\n/m),
  })
  // Refused before anything was made of it.
  expect((await db.query(`select to_regclass('rescore.features_customer') as made`)).rows).toEqual([{ made: null }])
  for (const table of ['customer', 'order', 'tag', 'customer_tag']) {
    await db.query(`alter table shop.${table} replica identity full`)
  }
  await using running = await startIn(db, config)
  await using checker = await createChecker(config)
  await calm(db)
  expect((await checker.check(db)).differences).toEqual([])
  for (const change of CHANGES) {
    await db.query(change)
    await calm(db)
    const { differences, entities } = await checker.check(db)
    expect([change, differences]).toEqual([change, []])
    expect(entities).toBeGreaterThan(38)
  }
  // What was looked at were values, not nothing.
  const { rows } = await db.query(`select spent, referrals from rescore.features_customer where key = ${id('3')}`)
  expect(rows).toEqual([{ spent: expect.any(Number), referrals: 0n }])
  expect(rows[0]).not.toMatchObject({ spent: 0 })
  expect(running.failures).toEqual([])
})
