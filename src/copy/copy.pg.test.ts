/** What of a source's changes arrives in the copy: all of it, exactly, whatever the order it happens in. */
import { expect, test } from 'vitest'
import { copyBetween, copyPlaces, printed, sameIn } from '../../test/support/copying.ts'
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
  uuid,
} from '../define/index.ts'

const orders = defineTable({
  name: 'shop.orders',
  key: 'id',
  columns: { id: bigint().notNull(), customer: text(), total: decimal(), note: text() },
})
const ORDERS =
  'create schema shop; create table shop.orders (id bigint primary key, customer text, total numeric, note text)'
const COLUMNS = 'id, customer, total, note'

test('what is there, what comes, moves and goes, and a truncate: the copy is equal, and a second look writes nothing', async () => {
  await using place = await copyPlaces('copy')
  const { source, name } = place
  await source.query(
    `${ORDERS}; insert into shop.orders select i, 'c' || i % 7, i * 1.10, null from generate_series(1, 2500) i`,
  )
  const copy = copyBetween(place, [orders], { chunkRows: 400 })
  expect(await copy.pass()).toBe(2_500)
  expect(await sameIn(place, 'shop.orders', COLUMNS)).toBe(2_500)
  expect(await copy.pass()).toBe(0)
  await source.query(`begin; update shop.orders set total = total + 1 where id % 5 = 0; delete from shop.orders where id % 11 = 0;
    insert into shop.orders values (9001, 'new', 1, 'n'); update shop.orders set id = -id where id % 13 = 0; commit`)
  await source.query(`begin; insert into shop.orders values (7777777, 'never', 1); rollback`)
  await copy.pass()
  await sameIn(place, 'shop.orders', COLUMNS)
  await source.query(
    `begin; truncate shop.orders; insert into shop.orders values (1, 'after', 2), (2, 'after', 3); commit`,
  )
  await copy.pass()
  expect(await sameIn(place, 'shop.orders', COLUMNS)).toBe(2)
  const { rows } = await source.query(
    'select confirmed_flush_lsn = pg_current_wal_lsn() as is_confirmed from pg_replication_slots where slot_name = $1',
    [`copy_${name}`],
  )
  expect(rows).toHaveLength(1)
})

const everything = defineTable({
  name: 'shop.everything',
  key: ['a', 'b'],
  columns: {
    a: text().notNull(),
    b: integer().notNull(),
    small: integer(),
    big: bigint(),
    n: number(),
    d: decimal(),
    f: float(),
    r: float(),
    yes: boolean(),
    day: date(),
    at: timestamp(),
    local: timestamp(),
    doc: json(),
    plain: json(),
    list: json(),
    words: json(),
    u: uuid(),
    raw: json(),
  },
})
const EVERYTHING = `create schema shop; create type shop.mood as enum ('so "so"', 'bad'); create domain shop.pct as numeric(5,2);
  create table shop.everything (a varchar(20), b int, small smallint, big bigint, n shop.pct, d numeric, f double precision, r real,
    yes boolean, day date, at timestamptz, local timestamp, doc jsonb, plain json, list numeric[], words text[], u uuid,
    mood shop.mood, bytes bytea, span interval, net inet, primary key (a, b))`
const ROWS = `insert into shop.everything values
  ('é''"\\,', 1, -32768, 9223372036854775807, 12.30, 'NaN', 'Infinity', 0.1, true, '0044-03-15 BC', 'infinity', '-infinity',
   '{"n": 12345678901234567890.10, "s": "ü", "l": [1, {"x": null}]}', '{"z":1,  "a":1e3}', '{1.50,NULL,NaN}', '{"a,b","q\\"q",NULL,""}',
   '0B0E7A1C-0000-4000-8000-00000000000A', 'so "so"', '\\x00ff', '1 day 00:00:00.5', '10.0.0.1'),
  ('b', 2, null, -1, -0.01, 12345678901234567890.123456789, '-0', 3.4e38, false, '9999-12-31', '2024-02-29 12:00:00.123456+05:30',
   '2024-02-29 12:00:00.123456', '[]', 'true', '{{1,2},{3,4}}', '{}', null, 'bad', '', '-3 mons', null),
  ('c', 3, null, null, null, null, 'NaN', null, null, null, null, null, '"text"', '"x"', '[0:1]={5,6}', '{NULL,"NULL",null}', null, null, null, null, null)`
/** What each column of the copy must say, in the words of the source. */
const AS_COPIED = `a::text, b, small::int, big, n::numeric, d, f, r::text::float8 as r, yes, day, at, local at time zone 'UTC' as local, doc,
  plain::jsonb as plain, to_jsonb(list) as list, to_jsonb(words) as words, u`

test('every type arrives as it was, from the first copy and from the stream alike', async () => {
  await using place = await copyPlaces('types')
  const { source, target } = place
  const check = async () => {
    // NaN has no form in JSON: there it is the text that PostgreSQL prints.
    const there = await printed(source.pool, 'shop.everything', AS_COPIED)
    const here = await printed(
      target.pool,
      'shop.everything',
      'a, b, small, big, n, d, f, r, yes, day, at, local, doc, plain, list, words, u',
    )
    expect(here).toEqual(there)
    return here.length
  }
  await source.query(`${EVERYTHING}; ${ROWS}`)
  const copy = copyBetween(place, [everything])
  await copy.pass()
  expect(await check()).toBe(3)
  const first = await printed(target.pool, 'shop.everything', 'a, raw')
  await source.query(`delete from shop.everything; ${ROWS}`)
  await copy.pass()
  expect(await check()).toBe(3)
  expect(await printed(target.pool, 'shop.everything', 'a, raw')).toEqual(first)
  const { rows } = await target.query<{ raw: object }>(`select raw from shop.everything where a like 'é%'`)
  expect(rows[0]?.raw).toEqual({ mood: 'so "so"', bytes: '\\x00ff', span: '1 day 00:00:00.5', net: '10.0.0.1' })
  expect(copy.warnings).toEqual([])
})

const documents = defineTable({
  name: 'shop.documents',
  key: 'id',
  columns: { id: integer().notNull(), title: text(), body: text().notNull() },
})
const DOCUMENTS = `create schema shop; create table shop.documents (id integer primary key, title text, body text not null);
  alter table shop.documents alter body set storage external;
  insert into shop.documents select i, 'title ' || i, repeat('body ' || i || ' ', 800) from generate_series(1, 60) i`

/** Copies in small pieces while rows change and move before, within and behind the piece that is under way. */
async function copyWhileMoving(place: Awaited<ReturnType<typeof copyPlaces>>) {
  const { source } = place
  await source.query(DOCUMENTS)
  const copy = copyBetween(place, [documents], { chunkRows: 10 })
  let landings = 0
  await copy.pass({
    faults: {
      beforeLand: async () => {
        landings += 1
        await source.query('update shop.documents set title = title || $1', [`.${landings}`])
        await source.query('update shop.documents set id = -id, title = $1 where id in ($2, $3)', [
          'moved',
          landings * 9,
          61 - landings,
        ])
        await source.query('update shop.documents set id = id + 1000 where id in ($1, $2)', [
          landings * 9 + 1,
          50 - landings,
        ])
      },
    },
  })
  expect(landings).toBeGreaterThan(6)
  return copy
}

test('large values that a change does not touch stay, also where the row moves, before it was copied and after', async () => {
  await using place = await copyPlaces('toast')
  const copy = await copyWhileMoving(place)
  await copy.pass()
  expect(await sameIn(place, 'shop.documents')).toBe(60)
  await place.source.query(`update shop.documents set title = 'last'; update shop.documents set id = id + 5000`)
  await copy.pass()
  expect(await sameIn(place, 'shop.documents')).toBe(60)
})

test('columns that are added, dropped and retyped at the source fail no record', async () => {
  await using place = await copyPlaces('drift')
  const { source, target } = place
  const declared: Table = defineTable({
    name: 'shop.orders',
    key: 'id',
    columns: { id: bigint().notNull(), customer: text(), total: decimal(), note: text(), raw: json() },
  })
  await source.query(`${ORDERS}; insert into shop.orders values (1, 'a', 1.5, 'x')`)
  const copy = copyBetween(place, [declared])
  await copy.pass()
  await source.query(
    `alter table shop.orders add column weight numeric default 2.50; insert into shop.orders values (2, 'b', 2, 'y')`,
  )
  await copy.pass()
  await source.query(`alter table shop.orders drop column note; insert into shop.orders values (3, 'c', 3, 7)`)
  await source.query(
    `alter table shop.orders alter total type text using 'about ' || total; update shop.orders set customer = 'd' where id = 3`,
  )
  await copy.pass()
  const { rows } = await target.query('select id, customer, total, note, raw from shop.orders order by id')
  expect(rows).toEqual([
    { id: 1n, customer: 'a', total: '1.5', note: 'x', raw: null },
    { id: 2n, customer: 'b', total: '2', note: 'y', raw: { weight: 2.5 } },
    { id: 3n, customer: 'd', total: null, note: null, raw: { weight: 7, total: 'about 3' } },
  ])
  const drift = await target.query(
    `select field, type, former_type, gone_at is not null as gone from rescore.source_field order by 1`,
  )
  expect(drift.rows).toEqual([
    { field: 'customer', type: 'text', former_type: null, gone: false },
    { field: 'id', type: 'bigint', former_type: null, gone: false },
    { field: 'note', type: 'text', former_type: null, gone: true },
    { field: 'total', type: 'text', former_type: 'numeric', gone: false },
    { field: 'weight', type: 'numeric', former_type: null, gone: false },
  ])
})
